"""What runs between configure and cleanup: the map and its workers, the answers, the topics, the files.

Networks are imported where they are loaded: torch and what comes with it take a third of the time that a node needs to
start, and one that is given its masks, or runs without the segmenter, needs none of it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rclpy.node import Node

from ovseg3r_core.devices import pick_device
from ovseg3r_core.language.aside import MiniLmAside
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.language.encoder import TextEncoder
from ovseg3r_core.language.vocabulary import Vocabulary, load_vocabulary
from ovseg3r_core.live import Arrival, LiveConfig, LiveMap, LivePerception
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.masks.aside import MasksAside
from ovseg3r_core.masks.proposer import EmbedsMasks, MaskProposer, WorksAside
from ovseg3r_core.odometry.live import LiveTracker
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import PerceptionConfig
from ovseg3r_core.pose_correction import KeyframePoses
from ovseg3r_core.reconstruction.warm_up import compile_loops
from ovseg3r_core.stage import step_back
from ovseg3r_core.types import Frame
from ovseg3r_ros.answers import Answers
from ovseg3r_ros.config import InputConfig, NodeConfig, OutputConfig
from ovseg3r_ros.diagnostics import Diagnostics
from ovseg3r_ros.inputs.cameras import Cameras
from ovseg3r_ros.inputs.keyframe_path import KeyframePath
from ovseg3r_ros.map_directory import MapDirectory, default_root
from ovseg3r_ros.map_keeper import MapKeeper
from ovseg3r_ros.publisher import MapPublisher
from ovseg3r_ros.segmenter_in_use import SegmenterInUse
from ovseg3r_ros.services import MapServices

_NETWORK_NICENESS = 8  # some libraries make their threads when a network is loaded, with the priority of the loader


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All parameters of the node."""

    node: NodeConfig
    input: InputConfig
    live: LiveConfig
    output: OutputConfig
    method: PerceptionConfig


BuildMasks = Callable[[NodeConfig, Vocabulary], MaskProposer]


def build_masks(config: NodeConfig, vocabulary: Vocabulary) -> MaskProposer:
    """The source of 2D masks that the parameters name; beside a GPU, in a process of its own."""
    asked_for = vocabulary.names if config.vocabulary != "default" else None
    device = pick_device(config.device, "device")
    if device == "cuda":
        return MasksAside(config.masks, device=device, vocabulary=asked_for)
    from ovseg3r_core.masks.build import build_proposer

    return build_proposer(config.masks, device=device, vocabulary=asked_for)


def _texts_of(proposer: MaskProposer) -> TextEncoder | None:
    """The text side of what embeds the masks, where anything does."""
    if not isinstance(proposer, EmbedsMasks) or proposer.encoder is None:
        return None
    from ovseg3r_core.language.open_clip_text import open_clip_text

    return open_clip_text(proposer.encoder.source)


class System:
    """Everything that works on one map.

    Raises:
        MissingModel: weights were not fetched.
        ValueError, OSError: a setting points at something that cannot be used.
    """

    def __init__(self, node: Node, settings: Settings, masks: BuildMasks) -> None:
        self._node, self._settings = node, settings
        vocabulary, device = load_vocabulary(settings.node.vocabulary), pick_device(settings.node.device, "device")
        self._encoder = MiniLmAside()  # the first: a process that starts while all else is loaded
        self._proposer: MaskProposer | None = None
        try:
            self._build(masks, vocabulary, device)
        except BaseException:
            self._end_children()  # else they wait for questions until the node ends
            raise

    def _build(self, masks: BuildMasks, vocabulary: Vocabulary, device: str) -> None:
        node, settings, config, encoder = self._node, self._settings, self._settings.node, self._encoder
        with ThreadPoolExecutor(1, initializer=step_back, initargs=(_NETWORK_NICENESS,)) as loader:
            loading = loader.submit(masks, config, vocabulary)
            compile_loops()  # meanwhile: a camera would not wait for it
            proposer = self._proposer = loading.result()
        perception = Perception(
            proposer,
            same_name,
            settings.method,
            map_frame=settings.input.map_frame,
            map_id=config.map_id,
        )
        self.live = LivePerception(perception, settings.live, self._take_map, self._now_s)
        names = vocabulary.names if config.vocabulary != "default" else ()
        self.segmenter = SegmenterInUse(perception, encoder, names, device)
        self.segmenter.use(config.segmenter)
        engine = QueryEngine(encoder, visual=_texts_of(proposer))
        engine.match("anything", ["cup"])  # the first question must not pay for encoding all known words
        self.answers = Answers(self.live.latest, encoder, engine, vocabulary)
        self.answers.set_texts(settings.output.queries)
        directory = MapDirectory(Path(config.map_directory) if config.map_directory else default_root())
        self._keeper = MapKeeper(
            node,
            self.live,
            directory,
            config.autosave_period_s,
            own_origin=settings.input.poses == "odometry",
            saved_in_map=config.saved_in_map,
        )
        if config.load_autosave:
            self._keeper.take_up_autosave()
        self._publisher = MapPublisher(node, self.answers, settings.output)
        self._services = MapServices(node, self.live, self.answers, self._keeper, self._reset)
        self._diagnostics = Diagnostics(
            node,
            self.live,
            self.segmenter,
            self.answers,
            self._publisher,
            settings.output,
            settings.input.stale_after_s,
        )
        self._tracker = LiveTracker(settings.input.odometry_keyframes)  # stays while nobody listens, as the map does
        self._cameras: Cameras | None = None
        self._keyframes = KeyframePoses(
            min_m=settings.input.correction_min_m, min_rad=settings.input.correction_min_rad
        )
        self._path: KeyframePath | None = None

    def activate(self) -> None:
        """Listen to the cameras and map."""
        self.live.start()
        self._publisher.start()
        take, jumped = self._take_frame, self._take_time_jump
        self._cameras = Cameras(self._node, self._settings.input, take, jumped, self._tracker)
        self._path = KeyframePath(self._node, self._settings.input.map_frame, self._keyframes, self.live.correct)
        self._diagnostics.watch(self._cameras, self._path)

    def deactivate(self) -> None:
        """Listen no more; what is in hand is finished."""
        if self._cameras is not None and self._path is not None:
            self._diagnostics.watch(None, None)
            self._cameras.destroy()
            self._path.destroy()
            self._cameras = self._path = None
            self.live.stop()
            self._keeper.autosave()
            self._publisher.stop()

    def close(self) -> None:
        """Stop, save the map, and take everything away."""
        self.deactivate()
        for part in (self._diagnostics, self._services, self._publisher, self._keeper):
            part.destroy()
        self.segmenter.close()
        self._end_children()

    def configure_node(self, config: NodeConfig) -> None:
        """Another segmenter and another place of saved maps from now on."""
        self.segmenter.use(config.segmenter)
        self._keeper.configure(config.saved_in_map)

    def configure_output(self, config: OutputConfig) -> None:
        """Other standing texts and colours from now on; raises Rejected where a text is no question."""
        self.answers.set_texts(config.queries)
        self._publisher.configure(config)

    def _end_children(self) -> None:
        self._encoder.close()
        if isinstance(self._proposer, WorksAside):
            self._proposer.close()

    def _take_frame(self, sensor: str, stamp_ns: int, load: Callable[[], Frame]) -> None:
        self.live.submit(Arrival(sensor=sensor, stamp_ns=stamp_ns, load=load))

    def _take_map(self, newest: LiveMap) -> None:
        self.answers.update(newest)

    def _take_time_jump(self, why: str) -> None:
        self._keyframes.reset()
        policy = self._settings.node.on_time_jump
        self._node.get_logger().warning(f"{why}: the map is {'kept' if policy == 'keep' else 'reset'}")
        if policy == "reset":
            self._reset()

    def _reset(self) -> None:
        """Forget the map, and where it began if that was our choice."""
        own_origin = self._settings.input.poses == "odometry"
        if self._cameras is not None:
            self._cameras.begin_anew()
        else:
            self._tracker.begin_anew()
        self.live.reset(new_origin=own_origin)

    def _now_s(self) -> float:
        return self._node.get_clock().now().nanoseconds / 1e9
