"""What changes, as messages: `object_events`, and what the map says to a standing text, `query_events`."""

from collections.abc import Sequence

from ovseg3r_core.mapping.life import LifeEvent
from ovseg3r_core.mapping.standing import AnswerChange, StandingAnswer
from ovseg3r_core.types import ObjectRecord
from ovseg3r_ros.msg import ObjectEvent, QueryState
from ovseg3r_ros.outputs.colors import text_color
from ovseg3r_ros.outputs.labelled_map import QUERY_CLASS_BASE, LabelledMap
from ovseg3r_ros.outputs.primitives import color_of, header_of, point_of, time_of_seconds


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


def object_event(event: LifeEvent, map_frame: str) -> ObjectEvent:
    """What became of an object, under the name that it has in messages."""
    record = event.record
    return ObjectEvent(
        header=header_of(round(event.stamp_s * 1e9), map_frame),
        id=record.id,
        kind=event.kind,
        label=record.label,
        state=record.state,
        place=point_of(record.centre),
        previous_place=point_of(event.previous_place),
        last_seen=time_of_seconds(record.last_seen),
        summary=_told(event),
    )


def _told(event: LifeEvent) -> str:
    """One line for people: "cup: moved (object 12 from 1.2, 0.4, 0.9 to 2.0, 0.1, 0.8)"."""
    x, y, z = event.record.centre
    place = f"{x:.1f}, {y:.1f}, {z:.1f}"
    if event.kind == "moved":
        x, y, z = event.previous_place
        place = f"from {x:.1f}, {y:.1f}, {z:.1f} to {place}"
    else:
        place = f"at {place}"
    return f"{event.record.label}: {event.kind} (object {event.record.id} {place})"


def _summary(answer: StandingAnswer, found: Sequence[ObjectRecord]) -> str:
    """One line for people: "fire extinguisher: found (object 12 at 1.2, 0.4, 0.9)"."""
    line = f"{answer.asked.text}: {answer.verdict}"
    if not found:
        return line
    x, y, z = found[0].centre
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{line} (object {found[0].id} at {x:.1f}, {y:.1f}, {z:.1f}{others})"
