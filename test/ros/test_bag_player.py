"""The player over real DDS: everything arrives unchanged, when it is due, under the names the node listens to."""

import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness_client import LATCHED, VOLATILE, Topic
from harness_process import Program
from harness_robot import Robot
from replay_bags import FIRST_S, RATE_HZ, RoomBag, write_room_bag
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from ovseg3r_core.sequences.bag_index import find_topics
from ovseg3r_core.sequences.bag_storage import Bag
from ovseg3r_core.sequences.bag_topics import CameraTopics, ImageTopic
from ovseg3r_ros.replay.playback import PlaybackConfig, messages_of, plays_of

PLAYER = (sys.executable, "-m", "ovseg3r_ros.nodes.bag_player")
END_S = 20.0


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> RoomBag:
    return write_room_bag(tmp_path_factory.mktemp("room"))


class Ear:
    """Subscriptions to all that the player publishes."""

    def __init__(self, robot: Robot) -> None:
        self.client = robot.client
        self.color: Topic[Image] = robot.client.listen(Image, "/color/image")
        self.depth: Topic[Image] = robot.client.listen(Image, "/depth/image")
        self.info: Topic[CameraInfo] = robot.client.listen(CameraInfo, "/color/camera_info")
        self.tf: Topic[TFMessage] = robot.client.listen(TFMessage, "/tf")
        self.static: Topic[TFMessage] = robot.client.listen(TFMessage, "/tf_static", LATCHED)
        self.clock: Topic[Clock] = robot.client.listen(Clock, "/clock", VOLATILE)

    def wait_for(self, frames: int) -> None:
        def heard() -> dict[str, int]:
            return {it.name: len(it.messages) for it in (self.color, self.depth, self.info, self.tf)}

        self.client.until(lambda: min(heard().values()) >= frames, lambda: f"{frames} of each: {heard()}")

    @property
    def times_s(self) -> list[float]:
        return [message.clock.sec + message.clock.nanosec / 1e9 for message in list(self.clock.messages)]


def play(robot: Robot, bag: Path, *options: str) -> Program:
    return robot.start(*PLAYER, bag, *options)


def recorded(bag: Path, topic: str) -> list[bytes]:
    with Reader(bag) as reader:
        wanted = [item for item in reader.connections if item.topic == topic]
        return [bytes(data) for _, _, data in reader.messages(wanted)]


def stamps_s(topic: Topic) -> list[float]:
    return [message.header.stamp.sec + message.header.stamp.nanosec / 1e9 for message in topic.messages]


def test_every_message_arrives_unchanged_and_in_order(robot: Robot, room: RoomBag):
    ear = Ear(robot)
    sources = {
        "/color/image": (Image, "/camera/color/image_raw"),
        "/depth/image": (Image, "/camera/aligned_depth_to_color/image_raw"),
        "/color/camera_info": (CameraInfo, "/camera/color/camera_info"),
        "/tf": (TFMessage, "/tf"),
    }
    heard: dict[str, list[bytes]] = {topic: [] for topic in sources}
    for topic, (kind, _) in sources.items():
        robot.client.node.create_subscription(kind, topic, heard[topic].append, VOLATILE, raw=True)
    assert play(robot, room.path).wait(END_S) == 0
    ear.wait_for(room.frames)
    robot.client.until(lambda: min(map(len, heard.values())) >= room.frames, "all messages")
    for topic, (_, source) in sources.items():
        sent = recorded(room.path, source)
        assert [
            message[: len(raw)] for message, raw in zip(heard[topic], sent, strict=True)
        ] == sent  # DDS pads to four
    assert len(ear.static.messages) == 1


def test_the_clock_runs_at_the_rate_and_the_messages_with_it(robot: Robot, room: RoomBag):
    ear = Ear(robot)
    arrived_s: list[float] = []
    robot.client.node.create_subscription(Image, "/color/image", lambda _: arrived_s.append(time.monotonic()), 10)
    assert play(robot, room.path, "--rate", "2").wait(END_S) == 0
    ear.wait_for(room.frames)
    times_s = ear.times_s
    assert times_s == sorted(times_s)
    assert times_s[-1] >= FIRST_S + (room.frames - 1) / RATE_HZ - 0.05
    assert len(times_s) > 100  # a hundred a second over two seconds, on a machine that has other work
    bag_s = (room.frames - 1) / RATE_HZ
    assert arrived_s[-1] - arrived_s[0] == pytest.approx(bag_s / 2, abs=0.3)


def test_nothing_is_sent_before_somebody_listens_to_everything(robot: Robot, room: RoomBag):
    color: Topic[Image] = robot.client.listen(Image, "/color/image")
    clock: Topic[Clock] = robot.client.listen(Clock, "/clock")
    player = play(robot, room.path)
    clock.wait_for("the clock, which stands at the beginning")
    assert color.messages == []
    ear = Ear(robot)  # the rest of the topics
    assert player.wait(END_S) == 0
    ear.wait_for(room.frames)


def test_topics_that_nobody_wants_are_named_when_patience_ends(robot: Robot, room: RoomBag):
    robot.client.listen(Image, "/front/color/image")
    player = play(robot, room.path, "--wait", "8", "--camera", "front")
    assert player.wait(END_S) == 2
    (line,) = player.log.holding("nobody listens to")
    assert "front/depth/image" in line and "front/color/camera_info" in line and "front/color/image" not in line


def test_late_joiners_get_the_fixed_transforms(robot: Robot, room: RoomBag):
    play(robot, room.path, "--loop", "--wait", "0")
    color: Topic[Image] = robot.client.listen(Image, "/color/image")
    color.wait_for("the play is under way")
    static: Topic[TFMessage] = robot.client.listen(TFMessage, "/tf_static", LATCHED)
    message = static.wait_for("the fixed transform")
    assert message.transforms[0].child_frame_id == "camera_link"


def test_a_loop_begins_again_with_the_clock(robot: Robot, room: RoomBag):
    ear = Ear(robot)
    player = play(robot, room.path, "--loop", "--rate", "8")
    robot.client.until(lambda: len(ear.color.messages) > 2 * room.frames, "a third round")
    player.signal(signal.SIGINT)
    assert player.wait(END_S) == 0
    first = stamps_s(ear.color)[0]
    assert stamps_s(ear.color).count(first) >= 2
    times_s = ear.times_s
    steps = [after - before for before, after in itertools.pairwise(times_s)]
    assert sum(step < 0 for step in steps) >= 2
    assert min(steps) == pytest.approx(-(room.frames - 1) / RATE_HZ, abs=1.0)  # at eight times, a late reading is far


def test_a_part_of_a_bag_comes_with_the_fixed_transforms_from_before(robot: Robot, room: RoomBag):
    ear = Ear(robot)
    assert play(robot, room.path, "--start", "1", "--duration", "0.95").wait(END_S) == 0
    ear.wait_for(10)
    assert stamps_s(ear.color) == pytest.approx([FIRST_S + 1 + i / RATE_HZ for i in range(10)])
    assert len(ear.static.messages) == 1


def test_a_cut_bag_is_played_as_far_as_it_goes_and_says_so(robot: Robot, room: RoomBag, tmp_path: Path):
    whole = next(room.path.glob("*.mcap")).read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole[: int(0.6 * len(whole))])
    ear = Ear(robot)
    player = play(robot, cut)
    assert player.wait(END_S) == 0
    ear.wait_for(5)
    assert 5 < len(ear.color.messages) < room.frames
    assert player.log.holding("published", "cut.mcap")


def test_a_camera_of_several_gets_its_name_before_the_topics(robot: Robot, room: RoomBag):
    color: Topic[Image] = robot.client.listen(Image, "/front/color/image")
    play(robot, room.path, "--camera", "front", "--wait", "0")
    color.wait_for("an image of the front camera")


def test_events_tell_how_far_it_is_and_the_end_of_the_listener_ends_it(robot: Robot, room: RoomBag):
    program = robot.start(*PLAYER, room.path, "--wait", "0", "--events")  # its input is at its end
    assert program.wait(END_S) == 0
    states = [json.loads(line)["state"] for line in program.log.holding('{"state"')]
    assert states[0] == "waiting" and states[-1] == "played"


@pytest.mark.parametrize("content", [None, b"no bag at all"])
def test_what_is_no_bag_is_one_line_and_not_a_traceback(content: bytes | None, tmp_path: Path):
    path = tmp_path / "bag.mcap"
    if content is not None:
        path.write_bytes(content)
    done = subprocess.run([*PLAYER, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert str(path) in done.stderr and "Traceback" not in done.stderr


def image_topic(name: str, *, depth: bool) -> ImageTopic:
    kind = "16UC1; compressedDepth png" if depth else "rgb8; jpeg compressed bgr8"
    return ImageTopic(name=name, encoding=kind, frame_id="c", is_color=not depth, is_depth=depth, compressed=True)


@pytest.mark.parametrize("transport", ["compressedDepth", "compressed"])
def test_compressed_images_keep_their_transport(room: RoomBag, transport: str):
    topics = CameraTopics(
        color=image_topic("/cam/rgb/image_raw/compressed", depth=False),
        depth=image_topic(f"/cam/depth/image/{transport}", depth=True),
        camera_info="/cam/rgb/camera_info",
    )
    plays = plays_of(Bag(room.path), topics)
    assert plays["/cam/rgb/image_raw/compressed"].topic == "color/image/compressed"
    assert plays[f"/cam/depth/image/{transport}"].topic == f"depth/image/{transport}"
    assert plays["/cam/rgb/image_raw/compressed"].kind == "sensor_msgs/msg/CompressedImage"


def test_a_bag_without_depth_is_not_played_and_says_what_takes_it(room: RoomBag):
    topics = CameraTopics(color=image_topic("/cam/rgb/image", depth=False), depth=None, camera_info="/cam/camera_info")
    with pytest.raises(ValueError, match=r"no depth images, which the node needs: `ovseg3r segment`"):
        plays_of(Bag(room.path), topics)


def test_the_part_that_is_played_ends_where_it_is_told(room: RoomBag):
    bag = Bag(room.path)
    plays = {topic: play for topic, play in plays_of(bag, find_topics(bag)).items() if topic.endswith("image_raw")}
    part = list(messages_of(bag, plays, PlaybackConfig(start_s=0.5, duration_s=0.25)))
    assert [round(message.at_ns / 1e9 - FIRST_S, 1) for message in part] == [0.5, 0.5, 0.6, 0.6, 0.7, 0.7]
