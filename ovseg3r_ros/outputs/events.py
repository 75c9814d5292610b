"""What the map says to a standing text, as a message: `query_events`, and the answer of `set_queries`."""

from collections.abc import Sequence

from ovseg3r_core.mapping.standing import AnswerChange, StandingAnswer
from ovseg3r_core.types import ObjectRecord
from ovseg3r_ros.msg import QueryState
from ovseg3r_ros.outputs.colors import text_color
from ovseg3r_ros.outputs.labelled_map import QUERY_CLASS_BASE, LabelledMap
from ovseg3r_ros.outputs.primitives import color_of, header_of


def query_state(change: AnswerChange, shown: LabelledMap) -> QueryState:
    """An answer and the verdict before it.

    Args:
        shown: the map that answered.
    """
    answer = change.answer
    hits = [hit for hit in answer.hits if hit.object.id in shown.by_id]
    return QueryState(
        header=header_of(shown.stamp_ns, shown.snapshot.map_frame),
        text=answer.asked.text,
        verdict=answer.verdict,
        previous_verdict=change.previous or "",
        ids=[hit.object.id for hit in hits],
        scores=[float(hit.score) for hit in hits],
        color=color_of(text_color(answer.asked.place)),
        class_id=QUERY_CLASS_BASE + answer.asked.place,
        summary=_summary(answer, [shown.by_id[hit.object.id].record for hit in hits]),
    )


def _summary(answer: StandingAnswer, found: Sequence[ObjectRecord]) -> str:
    """One line for people: "fire extinguisher: found (object 12 at 1.2, 0.4, 0.9)"."""
    line = f"{answer.asked.text}: {answer.verdict}"
    if not found:
        return line
    x, y, z = found[0].centre
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{line} (object {found[0].id} at {x:.1f}, {y:.1f}, {z:.1f}{others})"
