"""The services of the node: questions and edits. A request that cannot be answered is told why, never left hanging."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from rclpy.callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.service import Service
from std_srvs.srv import Trigger

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.vocabulary import Vocabulary, load_vocabulary
from ovseg3r_core.live import LivePerception
from ovseg3r_core.mapping import operator
from ovseg3r_core.mapping.standing import AnswerChange
from ovseg3r_core.masks.proposer import LooksForTexts
from ovseg3r_ros.answers import Answers
from ovseg3r_ros.map_keeper import MapKeeper
from ovseg3r_ros.outputs.clouds import cloud_of
from ovseg3r_ros.outputs.events import query_state
from ovseg3r_ros.outputs.instances import instances_of
from ovseg3r_ros.outputs.primitives import header_of
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

DEFAULT_TOP_K, DEFAULT_PAGE, MAX_PAGE = 10, 100, 1000
_REQUESTS_KEPT = 1000
BUILT_IN_VOCABULARIES = ("default", "scannet200", "scannet20")


Request = TypeVar("Request")
Response = TypeVar("Response")


def refusing(
    handler: Callable[["MapServices", Request, Response], None],
) -> Callable[["MapServices", Request, Response], Response]:
    """Fill `success`, and `message` with the reason where the handler refuses the request."""

    @wraps(handler)
    def answer(self: "MapServices", request: Request, response: Any) -> Response:  # generated classes share no base
        try:
            handler(self, request, response)
            response.success = True
        except (Rejected, ValueError, OSError) as error:
            response.success, response.message = False, str(error)
        return response

    return answer


class MapServices:
    """All services. Questions may run side by side; edits, and what touches files, wait for each other."""

    def __init__(
        self, node: Node, live: LivePerception, answers: Answers, keeper: MapKeeper, reset: Callable[[], None]
    ) -> None:
        self._node, self._live, self._answers, self._keeper = node, live, answers, keeper
        self._reset = reset
        asking, changing = ReentrantCallbackGroup(), MutuallyExclusiveCallbackGroup()
        self._services = [
            self._serve(kind, name, handler, group)
            for kind, name, handler, group in (
                (QueryObjects, "query_objects", self.query_objects, asking),
                (GetObject, "get_object", self.get_object, asking),
                (ListObjects, "list_objects", self.list_objects, asking),
                (EditObject, "edit_object", self.edit_object, changing),
                (SetVocabulary, "set_vocabulary", self.set_vocabulary, changing),
                (SetQueries, "set_queries", self.set_queries, changing),
                (SaveMap, "save_map", self.save_map, changing),
                (LoadMap, "load_map", self.load_map, changing),
                (Trigger, "reset_map", self.reset_map, changing),
            )
        ]

    def _serve(self, kind: type, name: str, handler: Callable, group: CallbackGroup) -> Service:
        waiting = QoSProfile(depth=_REQUESTS_KEPT)  # the default of 10 leaves the eleventh of a crowd without an answer
        return self._node.create_service(kind, name, handler, callback_group=group, qos_profile=waiting)

    def destroy(self) -> None:
        """Take the services away."""
        for service in self._services:
            self._node.destroy_service(service)

    @refusing
    def query_objects(self, request: QueryObjects.Request, response: QueryObjects.Response) -> None:
        """Answer a free text."""
        shown, result = self._answers.ask(
            request.text, request.top_k or DEFAULT_TOP_K, removed_too=request.include_removed
        )
        hits = [(shown.by_id[hit.object.id], hit.score) for hit in result.hits if hit.object.id in shown.by_id]
        objects = [it for it, _ in hits]
        response.verdict, response.message = result.verdict, result.explanation
        response.header = header_of(shown.stamp_ns, shown.snapshot.map_frame)
        response.objects = instances_of(objects, with_cloud=request.include_cloud)
        response.scores = [float(score) for _, score in hits]
        if request.include_cloud:
            response.cloud = cloud_of(shown, objects)

    @refusing
    def get_object(self, request: GetObject.Request, response: GetObject.Response) -> None:
        """One object; a merged id leads to the object of today."""
        shown, found = self._answers.get(request.id)
        if found.record.id != request.id:
            response.message = f"object {request.id} is part of object {found.record.id} now"
        response.header = header_of(shown.stamp_ns, shown.snapshot.map_frame)
        response.object = instances_of([found], with_cloud=request.include_cloud)[0]
        if request.include_cloud:
            response.cloud = cloud_of(shown, [found])

    @refusing
    def list_objects(self, request: ListObjects.Request, response: ListObjects.Response) -> None:
        """A page of all objects."""
        size = request.page_size or DEFAULT_PAGE
        if size > MAX_PAGE:
            raise Rejected("bad_page", f"page_size is {size}; ask for at most {MAX_PAGE} objects a page")
        shown = self._answers.shown
        listed = sorted(
            (*shown.shown, *(shown.removed if request.include_removed else ())), key=lambda it: it.record.id
        )
        fitting = [it for it in listed if request.label in ("", it.record.label)]
        left = [it for it in fitting if it.record.id > request.after_id]
        response.header = header_of(shown.stamp_ns, shown.snapshot.map_frame)
        response.objects = instances_of(left[:size], with_cloud=False)
        response.next_after_id = left[size - 1].record.id if len(left) > size else 0
        response.total = len(fitting)

    @refusing
    def edit_object(self, request: EditObject.Request, response: EditObject.Response) -> None:
        """Correct the map by hand."""
        response.ids = list(self._live.edit(_operation_of(request)))

    @refusing
    def set_vocabulary(self, request: SetVocabulary.Request, response: SetVocabulary.Response) -> None:
        """Choose the words that labels are taken from."""
        response.names = list(self._answers.vocabulary.names)  # those that stay where the new ones are refused
        vocabulary = vocabulary_of(request.vocabulary, list(request.names))
        self._answers.set_vocabulary(vocabulary)
        proposer = self._live.perception.proposer
        if isinstance(proposer, LooksForTexts):
            proposer.look_for(vocabulary.names)
        response.names = list(vocabulary.names)

    @refusing
    def set_queries(self, request: SetQueries.Request, response: SetQueries.Response) -> None:
        """Choose the standing texts."""
        texts = Parameter("queries", Parameter.Type.STRING_ARRAY, list(request.texts))
        result = self._node.set_parameters_atomically([texts])  # the one way in: the parameter says what stands
        if not result.successful:
            raise Rejected("bad_query", result.reason)
        shown = self._answers.shown
        states = shown.answers
        response.states = [query_state(AnswerChange(answer=answer), shown) for answer in states]

    @refusing
    def save_map(self, request: SaveMap.Request, response: SaveMap.Response) -> None:
        """Save the map under a name."""
        response.path = str(self._keeper.save(request.name))

    @refusing
    def load_map(self, request: LoadMap.Request, response: LoadMap.Response) -> None:
        """Put a saved map in the place of the present one."""
        response.objects, response.message = self._keeper.load(request.name)

    @refusing
    def reset_map(self, request: Trigger.Request, response: Trigger.Response) -> None:
        """Forget the map."""
        self._reset()


def vocabulary_of(name: str, names: list[str]) -> Vocabulary:
    """A built-in vocabulary, or one of these names; raises Rejected or ValueError."""
    if names and name:
        raise Rejected("bad_vocabulary", f"give either the vocabulary {name!r} or names, not both")
    if names:
        return Vocabulary(name="own", names=tuple(names), ids=tuple(range(1, len(names) + 1)))
    if name not in ("", *BUILT_IN_VOCABULARIES):  # a service must not read any file that somebody names
        raise Rejected("bad_vocabulary", f"no vocabulary {name[:100]!r}; there is {', '.join(BUILT_IN_VOCABULARIES)}")
    return load_vocabulary(name or None)


def _operation_of(request: EditObject.Request) -> operator.Operation:
    if request.action == EditObject.Request.RELABEL:
        return operator.relabel(request.id, request.label)
    if request.action == EditObject.Request.MERGE:
        return operator.merge(request.id, list(request.other_ids))
    if request.action == EditObject.Request.SPLIT:
        return operator.split(request.id, [(seed.x, seed.y, seed.z) for seed in request.seeds])
    if request.action == EditObject.Request.DELETE:
        return operator.delete(request.id)
    raise Rejected("bad_edit", f"action is {request.action}; it is 1 RELABEL, 2 MERGE, 3 SPLIT or 4 DELETE")
