"""The perception node under test, as a robot's other nodes talk to it: lifecycle, services, topics, diagnostics."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from harness_client import LATCHED, Client, Topic
from harness_process import Program
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_srvs.srv import Trigger

from ovseg3r_ros.msg import ObjectInstance, ObjectInstanceArray
from ovseg3r_ros.srv import (
    EditObject,
    GetObject,
    ListObjects,
    LoadMap,
    QueryObjects,
    SaveMap,
    SetQueries,
    SetVocabulary,
)

_SETTLED_S = 1.5  # longer than the nodes of the tests wait for another keyframe, and than a look at all views takes
START_S = 60.0  # a busy machine needs this to import everything
CONFIGURE = Transition.TRANSITION_CONFIGURE
ACTIVATE = Transition.TRANSITION_ACTIVATE
DEACTIVATE = Transition.TRANSITION_DEACTIVATE
CLEANUP = Transition.TRANSITION_CLEANUP
UNCONFIGURED, INACTIVE = State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE
ACTIVE = State.PRIMARY_STATE_ACTIVE


class Perception:
    """The services and topics of one perception node."""

    def __init__(self, client: Client, program: Program, name: str = "perception") -> None:
        self.client, self.program, self.name = client, program, name
        client.programs.append(program)
        self.diagnostics: Topic[DiagnosticArray] = client.listen(DiagnosticArray, "/diagnostics")
        self.instances: Topic[ObjectInstanceArray] = client.listen(ObjectInstanceArray, "/instances", LATCHED)

    def forget(self) -> None:
        """The program may end from now on."""
        self.client.programs.remove(self.program)

    def change(self, transition: int, *, timeout_s: float = START_S) -> bool:
        """Ask for a transition; whether it succeeded."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.client.call(ChangeState, f"/{self.name}/change_state", request, timeout_s=timeout_s).success

    def state(self) -> int:
        answer = self.client.call(GetState, f"/{self.name}/get_state", GetState.Request(), timeout_s=START_S)
        return answer.current_state.id

    def bring_up(self) -> None:
        """Configure and activate."""
        assert self.change(CONFIGURE), f"configure failed:\n{self.program.log.tail()}"
        assert self.change(ACTIVATE), f"activate failed:\n{self.program.log.tail()}"

    def cycle(self) -> None:
        """Take everything down, and bring it up again."""
        for transition in (DEACTIVATE, CLEANUP, CONFIGURE, ACTIVATE):
            assert self.change(transition), f"transition {transition} failed"

    def set_parameter(self, name: str, value: Any) -> SetParametersResult:
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        return self.client.call(SetParameters, f"/{self.name}/set_parameters", request).results[0]

    def query(self, text: str, **fields: Any) -> QueryObjects.Response:
        return self.client.call(QueryObjects, "/query_objects", QueryObjects.Request(text=text, **fields))

    def flood(self, texts: Iterator[str], seconds: float, in_flight: int, *, timeout_s: float = 20.0) -> int:
        """Ask so long, with so many questions on their way at any time; how many there were, each of them answered."""
        ends_s, waiting, answered = time.monotonic() + seconds, deque[Future](), 0
        while waiting or time.monotonic() < ends_s:
            while len(waiting) < in_flight and time.monotonic() < ends_s:
                request = QueryObjects.Request(text=next(texts))
                waiting.append(self.client.ask(QueryObjects, "/query_objects", request))
            answer = self.client.answer(waiting.popleft(), "a question", timeout_s=timeout_s)
            assert answer.success, answer.message
            answered += 1
        return answered

    def list_objects(self, **fields: Any) -> ListObjects.Response:
        return self.client.call(ListObjects, "/list_objects", ListObjects.Request(**fields))

    def get_object(self, id: int, **fields: Any) -> GetObject.Response:
        return self.client.call(GetObject, "/get_object", GetObject.Request(id=id, **fields))

    def edit(self, action: int, id: int, **fields: Any) -> EditObject.Response:
        return self.client.call(EditObject, "/edit_object", EditObject.Request(action=action, id=id, **fields))

    def set_vocabulary(self, **fields: Any) -> SetVocabulary.Response:
        return self.client.call(SetVocabulary, "/set_vocabulary", SetVocabulary.Request(**fields))

    def set_queries(self, *texts: str) -> SetQueries.Response:
        return self.client.call(SetQueries, "/set_queries", SetQueries.Request(texts=list(texts)))

    def save_map(self, name: str = "") -> SaveMap.Response:
        return self.client.call(SaveMap, "/save_map", SaveMap.Request(name=name))

    def load_map(self, name: str = "") -> LoadMap.Response:
        return self.client.call(LoadMap, "/load_map", LoadMap.Request(name=name))

    def reset_map(self) -> Trigger.Response:
        return self.client.call(Trigger, "/reset_map", Trigger.Request())

    def objects(self) -> dict[str, ObjectInstance]:
        """The objects of now by name; the scene of the tests has one of each, so that two of a name are a mistake."""
        found = self.list_objects(page_size=1000).objects
        by_label = {instance.label: instance for instance in found}
        assert len(by_label) == len(found), [(it.id, it.label, it.observations, it.centroid) for it in found]
        return by_label

    def wait_for_objects(self, labels: Sequence[str], *, timeout_s: float = 40.0) -> dict[str, ObjectInstance]:
        """The objects of the first published map with all these names, by name."""

        def has_all(message: ObjectInstanceArray) -> bool:
            return set(labels) <= {instance.label for instance in message.instances}

        what = f"map with {', '.join(labels)}"
        message = self.instances.wait_for(what, has_all, after=len(self.instances.messages) - 1, timeout_s=timeout_s)
        return {instance.label: instance for instance in message.instances}

    def wait_for_status(
        self,
        what: str,
        fits: Callable[[DiagnosticStatus], bool],
        *,
        name: str = "",
        fresh: bool = True,
        timeout_s: float = 20.0,
    ) -> DiagnosticStatus:
        """The first diagnostics entry that fits, of those with `name` in their name; by default from now on."""

        def entry(message: DiagnosticArray) -> DiagnosticStatus | None:
            return next((status for status in message.status if name in status.name and fits(status)), None)

        after = len(self.diagnostics.messages) if fresh else 0
        message = self.diagnostics.wait_for(what, lambda it: entry(it) is not None, after=after, timeout_s=timeout_s)
        found = entry(message)
        assert found is not None
        return found

    def wait_for_camera(
        self, what: str, fits: Callable[[DiagnosticStatus], bool], *, name: str = "camera", timeout_s: float = 20.0
    ) -> DiagnosticStatus:
        """The first diagnostics entry from now on of a camera that fits."""
        return self.wait_for_status(what, fits, name=f": camera {name}", timeout_s=timeout_s)

    def counts(self) -> Counter[str]:
        """How many frames came in, were fused, were keyframes and were looked at, up to now."""
        status = self.wait_for_status("pipeline", lambda it: True, name=": pipeline")
        return Counter(_numbers_after("count: ", values_of(status)))

    def drops(self) -> dict[str, int]:
        """What was left out, by reason: images, pairs and frames together."""
        return _drops(self.diagnostics.wait_for("diagnostics", after=len(self.diagnostics.messages)))

    def wait_for_drops(self, reason: str, more: int = 3, *, timeout_s: float = 20.0) -> None:
        """Return once so many more were left out for this reason."""
        least = self.drops().get(reason, 0) + more
        self.diagnostics.wait_for(
            f"{least} times {reason}",
            lambda it: _drops(it).get(reason, 0) >= least,
            after=len(self.diagnostics.messages),
            timeout_s=timeout_s,
        )

    def wait_for_more_keyframes(self, more: int, *, timeout_s: float = 30.0) -> None:
        """Return once so many more keyframes are in the map."""
        wanted = self.counts()["looked"] + more

        def enough(status: DiagnosticStatus) -> bool:
            return _numbers_after("count: ", values_of(status)).get("looked", 0) >= wanted

        self.wait_for_status(f"{wanted} keyframes", enough, name=": pipeline", timeout_s=timeout_s)

    def wait_until_settled(self, *, timeout_s: float = 40.0) -> None:
        """Return once nothing waits for a worker and the map has not changed for a while: all views were looked at."""

        def settled(message: DiagnosticArray) -> bool:
            values = {key: value for status in message.status for key, value in values_of(status).items()}
            waiting = sum(_numbers_after("waiting: ", values).values())
            return waiting == 0 and float(values["published [s ago]"].replace("unknown", "0")) > _SETTLED_S

        after = len(self.diagnostics.messages)
        self.diagnostics.wait_for("rest", settled, after=after, timeout_s=timeout_s)


def _drops(message: DiagnosticArray) -> dict[str, int]:
    drops: Counter[str] = Counter()
    for status in message.status:
        for key, value in values_of(status).items():
            what, _, reason = key.rpartition(": ")
            if what.endswith("dropped"):
                drops[reason] += int(value)
    return dict(drops)


def _numbers_after(prefix: str, values: dict[str, str]) -> dict[str, int]:
    return {key.removeprefix(prefix): int(value) for key, value in values.items() if key.startswith(prefix)}


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    """The key-value pairs of a diagnostics entry."""
    return {item.key: item.value for item in status.values}


def ids_of(objects: dict[str, ObjectInstance]) -> dict[str, int]:
    """The id of each object by name."""
    return {label: item.id for label, item in objects.items()}
