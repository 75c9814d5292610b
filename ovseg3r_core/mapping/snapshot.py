"""What readers see of the map: one immutable state, handed over whole and never changed afterwards."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy import ndarray

from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.types import ObjectRecord, SceneCloud


@dataclass(frozen=True, kw_only=True)
class ObjectEmbeddings:
    """What objects look like to an encoder of images and texts, a unit vector each."""

    encoder: EncoderId
    ids: Int32[ndarray, " objects"]
    vectors: Float32[ndarray, "objects channels"]


@dataclass(frozen=True, kw_only=True)
class MapSnapshot:
    """The scene cloud, the owner of each of its points, and the records of all objects.

    Structure (walls, floor, ceiling) owns points and has records like an object, but is listed apart: it is
    what the room is made of, not a thing in it.
    """

    map_frame: str
    cloud: SceneCloud
    owner: Int32[ndarray, " points"]
    """Id of the object or piece of structure that each point belongs to, -1 for none."""
    objects: tuple[ObjectRecord, ...]
    structure: tuple[ObjectRecord, ...]
    removed: tuple[ObjectRecord, ...] = ()
    """Objects that are gone, each with its last place; they own no points."""
    up: tuple[float, float, float]
    """Which way is up in the map frame, estimated from cameras and surfaces."""
    views: int
    """Keyframes that built the map; 0 means that nothing has been looked at yet."""
    embeddings: ObjectEmbeddings | None = None
    """Of the objects that have one, where the masks were embedded."""
    map_id: str = ""
    """Which map the frame is of, where somebody says: frames of one name have another origin in every map."""
    scale_known: bool = True
    """Whether its unit is the metre; else it is about one, as of colour alone where nobody told a length."""

    def instance(self) -> Int32[ndarray, " points"]:
        """The object id of each point, -1 for none and for structure."""
        ids = [record.id for record in self.objects]
        return np.where(np.isin(self.owner, ids), self.owner, -1).astype(np.int32)

    def points_of(self, id_: int) -> Int64[ndarray, " members"]:
        """Indices of the points that an object or a piece of structure owns, sorted."""
        order, owner = self._by_owner
        return order[np.searchsorted(owner, id_) : np.searchsorted(owner, id_, side="right")]

    @cached_property
    def _by_owner(self) -> tuple[Int64[ndarray, " points"], Int32[ndarray, " points"]]:
        order = np.argsort(self.owner, kind="stable")
        return order, self.owner[order]
