"""Which number means which name: `labels`, for readers of `instance_cloud` and `instances`."""

from collections.abc import Iterable

from vision_msgs.msg import LabelInfo, VisionClass

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.vocabulary import Vocabulary
from ovseg3r_core.mapping.standing import StandingText
from ovseg3r_ros.outputs.labelled_map import QUERY_CLASS_BASE
from ovseg3r_ros.outputs.primitives import header_of


def label_info(vocabulary: Vocabulary, standing: Iterable[StandingText], *, stamp_ns: int, map_frame: str) -> LabelInfo:
    """The vocabulary's names by id, then the standing texts from 10000 on.

    Raises:
        Rejected: with reason `bad_vocabulary`, see `check_class_ids`.
    """
    check_class_ids(vocabulary)
    names = [VisionClass(class_id=id_, class_name=name) for name, id_ in vocabulary.id_by_name.items()]
    texts = [VisionClass(class_id=QUERY_CLASS_BASE + it.place, class_name=it.text) for it in standing]
    return LabelInfo(header=header_of(stamp_ns, map_frame), class_map=names + texts, threshold=0.0)


def check_class_ids(vocabulary: Vocabulary) -> None:
    """Refuse a vocabulary that no message can number.

    Raises:
        Rejected: with reason `bad_vocabulary` for an id that is not within 1..9999: 0 is "no name", and the
            standing texts follow.
    """
    if wrong := [id_ for id_ in vocabulary.ids if not 0 < id_ < QUERY_CLASS_BASE]:
        raise Rejected(
            "bad_vocabulary",
            f"{vocabulary.name} has the label id {wrong[0]}; topics carry 1..{QUERY_CLASS_BASE - 1}: "
            "take the empty lines out of the file",
        )
