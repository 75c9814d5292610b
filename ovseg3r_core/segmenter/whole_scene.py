"""The learned segmenter on a scene whose views were masked: what the map and the benchmark ask.

    cloud, masks of all views ─► superpoints (IBSp) ─► segmenter ─► one instance a thing, with its likeliest name

It is asked for more names than the user's: a thing that may only be called what it is not would be lost.
"""

from collections.abc import Sequence
from pathlib import Path

from ovseg3r_core.language.coco import COCO_CLASSES, HOUSEHOLD, same_name
from ovseg3r_core.language.encoder import TextEncoder
from ovseg3r_core.language.vocabulary import STRUCTURE, UNNAMED, Vocabulary, scannet200
from ovseg3r_core.mapping.instances import Instance, RecognitionConfig, recognised
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.segmenter.checkpoint import Card
from ovseg3r_core.segmenter.inference import InstanceSegmenter, load_instance_segmenter
from ovseg3r_core.segmenter.inputs import check_cloud, scene_input
from ovseg3r_core.segmenter.postprocess import PostprocessConfig
from ovseg3r_core.superpoints import superpoints
from ovseg3r_core.types import LiftedMask, SceneCloud
from ovseg3r_core.view_labels import ViewLabels


class WholeSceneSegmenter:
    """A segmenter with the names it chooses from; `find` is what `Perception.refine` asks for."""

    def __init__(
        self,
        segmenter: InstanceSegmenter,
        names: Vocabulary,
        config: RecognitionConfig | None = None,
        path: Path | None = None,
    ) -> None:
        segmenter.set_vocabulary(names)
        self.path, self._segmenter, self._names = path, segmenter, names
        self._config = config or RecognitionConfig()

    @property
    def card(self) -> Card:
        """What is known of the weights."""
        return self._segmenter.card

    @property
    def flavour(self) -> str:
        """How sparse convolutions are computed here."""
        return self._segmenter.flavour

    def find(self, cloud: SceneCloud, seen: Incidence, lifted: Sequence[LiftedMask]) -> tuple[Instance, ...]:
        """The instances of a scene, surest first; walls, floor and ceiling by their names are left out.

        Raises:
            Rejected: `empty_cloud`, `too_many_points`, `bad_cloud` or `bad_superpoints`; the text says what to do.
        """
        check_cloud(cloud)
        ids = superpoints(cloud, ViewLabels.of_masks(seen, lifted, len(cloud)))
        found = self._segmenter.segment(scene_input(cloud, ids))
        return recognised(found, self._names, same_name, self._config)


def load_whole_scene_segmenter(
    path: Path,
    names: Sequence[str] = (),
    *,
    device: str = "cpu",
    encoder: TextEncoder | None = None,
    post: PostprocessConfig | None = None,
) -> WholeSceneSegmenter:
    """A checkpoint ready for whole scenes.

    Args:
        names: what the user wants things to be called, beside the household's and ScanNet200's names.

    Raises:
        FileNotFoundError, BadCheckpoint, ValueError, Rejected: as in `load_instance_segmenter`; ValueError also where
            the network asks for 2D features, which nobody here makes.
    """
    vocabulary = names_to_ask(names)
    segmenter = load_instance_segmenter(path, vocabulary, encoder, device, post)
    config = segmenter.card.config
    if config.image_channels or config.object_channels:
        raise ValueError(
            f"{path} asks for 2D features ({config.image_channels} channels a point, {config.object_channels} a 2D "
            "object), and whole scenes are segmented by colour and shape alone: give a checkpoint without them"
        )
    return WholeSceneSegmenter(segmenter, vocabulary, path=path)


def names_to_ask(names: Sequence[str] = ()) -> Vocabulary:
    """The user's names, and all others that the package knows; the structure of a room is among them."""
    household = [kind.name for kind in HOUSEHOLD]
    room = Vocabulary(name="everything known", names=STRUCTURE, ids=tuple(range(1, len(STRUCTURE) + 1)))
    asked = (*COCO_CLASSES, *household, *scannet200().names, *names)
    return room.with_names(name for name in asked if name != UNNAMED)
