"""The map as readers see it, of one moment."""

from collections.abc import Sequence

import numpy as np

from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.mapping.object_map import ObjectMap
from ovseg3r_core.mapping.snapshot import MapSnapshot, ObjectEmbeddings
from ovseg3r_core.mapping.structure import up_of
from ovseg3r_core.views import View


def take_snapshot(
    objects: ObjectMap, views: Sequence[View], encoder: EncoderId | None, *, map_frame: str, map_id: str
) -> MapSnapshot:
    """What nothing that happens later changes: things and structure apart, and the way up.

    Args:
        encoder: of the looks of masks; None where nobody embeds them.
    """
    records = objects.records()
    structure = {id_ for id_, obj in objects.objects.items() if obj.structure}
    things = tuple(record for record in records if record.id not in structure)
    return MapSnapshot(
        map_frame=map_frame,
        map_id=map_id,
        cloud=objects.cloud,
        owner=objects.ownership.owner,
        objects=things,
        structure=tuple(record for record in records if record.id in structure),
        removed=objects.removed(),
        up=tuple(up_of(objects.cloud, [view.T_map_camera for view in views]).tolist()),
        views=len(views),
        embeddings=_embeddings(objects, [record.id for record in things], encoder),
    )


def _embeddings(objects: ObjectMap, ids: list[int], encoder: EncoderId | None) -> ObjectEmbeddings | None:
    found = {id_: row for id_ in ids if (row := objects.objects[id_].embedding()) is not None}
    if encoder is None or not found:
        return None
    return ObjectEmbeddings(
        encoder=encoder, ids=np.array(list(found), np.int32), vectors=np.stack(list(found.values()))
    )
