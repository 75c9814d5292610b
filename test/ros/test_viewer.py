"""The viewer node draws what perception publishes, and ends with what it started."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import rerun_cli
from builtin_interfaces.msg import Time
from harness_camera import walk
from harness_client import LATCHED
from harness_domain import CHECKOUT
from harness_robot import Robot
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import BoundingBox3D

from ovseg3r_core.types import Box
from ovseg3r_ros.msg import ObjectInstance, ObjectInstanceArray, QueryState
from ovseg3r_ros.viewer.config import ViewerConfig
from ovseg3r_ros.viewer.messages import object_of, points_of
from ovseg3r_ros.viewer.scene import Scene, ShownObject
from ovseg3r_ros.viewer.sink import open_sink

HEADER = Header(frame_id="map", stamp=Time(sec=100))
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4"), ("instance", "<i4"), ("label", "<i4")])
RED = 0x00FF0000


def cloud() -> PointCloud2:
    points = np.zeros(100, POINT)
    points["x"], points["y"] = np.divmod(np.arange(100) * 0.1, 1.0)
    points["rgb"], points["instance"] = RED, np.arange(100) % 3 - 1
    fields = [PointField(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate(POINT.names or ())]
    return PointCloud2(
        header=HEADER, height=1, width=100, fields=fields, point_step=24, row_step=2400, data=points.tobytes()
    )


def chair(**fields: object) -> ObjectInstance:
    box = BoundingBox3D()
    box.center.position.x, box.center.position.z = 1.0, 0.5
    box.center.orientation.z = box.center.orientation.w = float(np.sqrt(0.5))
    box.size.x, box.size.y, box.size.z = 0.4, 0.5, 1.0
    return ObjectInstance(**{"id": 7, "label": "chair", "confidence": 0.75, "bbox": box} | fields)


def drawn(path: Path) -> str:
    """What the viewer's own tool reads in a recording, as far as that is written."""
    program = Path(rerun_cli.__file__).with_name("rerun")
    words = [str(program), "rrd", "print", "-vvv", str(path)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60).stdout


def test_points_keep_their_place_colour_and_instance() -> None:
    xyz, rgb, instance = points_of(cloud())
    np.testing.assert_allclose(xyz[13], [1.0, 0.3, 0.0], atol=1e-5)
    assert rgb[13].tolist() == [255, 0, 0]
    assert instance[:4].tolist() == [-1, 0, 1, -1]


def test_a_cloud_without_instances_is_refused_with_the_field_that_is_missing() -> None:
    message = cloud()
    message.fields = message.fields[:4]
    with pytest.raises(ValueError, match="no instance; it has x, y, z, rgb"):
        points_of(message)


def test_an_object_keeps_its_name_heading_and_answers() -> None:
    shown = object_of(chair(queries=["somewhere to sit"]))
    assert (shown.id, shown.name, shown.queries) == (7, "chair", ("somewhere to sit",))
    assert shown.box.size == (0.4, 0.5, 1.0)
    assert shown.box.yaw == pytest.approx(np.pi / 2)
    assert object_of(chair(label="object")).name is None


def test_walls_are_shown_up_to_a_height_and_objects_whole(tmp_path: Path) -> None:
    xyz = np.array([[0, 0, 0], [1, 0, 0.5], [2, 0, 2.5], [3, 0, 2.5]], np.float32)
    with open_sink(ViewerConfig(mode="save", path=str(tmp_path / "map.rrd"))) as sink:
        scene = Scene(sink.recording, ["camera"], 1.2)
        scene.draw_cloud(1.0, xyz, np.zeros((4, 3), np.uint8), np.array([-1, -1, -1, 4], np.int32))
    text = drawn(tmp_path / "map.rrd")
    assert "[3.0, 0.0, 2.5]" in text
    assert "[2.0, 0.0, 2.5]" not in text


def test_an_empty_map_can_be_drawn(tmp_path: Path) -> None:
    with open_sink(ViewerConfig(mode="save", path=str(tmp_path / "map.rrd"))) as sink:
        scene = Scene(sink.recording, ["camera"], 1.2)
        scene.draw_cloud(1.0, np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), np.zeros(0, np.int32))
        scene.draw_objects(1.0, [], {})
    assert "/map/named" in drawn(tmp_path / "map.rrd")


def test_objects_without_a_name_have_a_box_and_no_caption(tmp_path: Path) -> None:
    box = Box(centre=(0.0, 0.0, 0.0), size=(1.0, 1.0, 1.0), yaw=0.0)
    things = [
        ShownObject(id=1, name="chair", confidence=0.5, box=box),
        ShownObject(id=2, name=None, confidence=0.5, box=box),
    ]
    with open_sink(ViewerConfig(mode="save", path=str(tmp_path / "map.rrd"))) as sink:
        Scene(sink.recording, ["camera"], 1.2).draw_objects(1.0, things, {})
    text = drawn(tmp_path / "map.rrd")
    assert "chair 0.50" in text
    assert "None" not in text.partition("/map/unnamed")[2].partition("/objects")[0]


def test_a_file_in_a_folder_that_is_not_there_is_refused() -> None:
    with (
        pytest.raises(FileNotFoundError, match="/no/such"),
        open_sink(ViewerConfig(mode="save", path="/no/such/map.rrd")),
    ):
        pass


def test_the_node_records_the_map_the_camera_and_the_answers(robot: Robot, tmp_path: Path) -> None:
    path, text = tmp_path / "map.rrd", "somewhere to sit"
    publish = robot.client.node.create_publisher
    publish(PointCloud2, "instance_cloud", LATCHED).publish(cloud())
    event = QueryState(header=HEADER, text=text, summary=f"{text}: found", color=ColorRGBA(r=1.0, a=1.0))
    publish(QueryState, "query_events", LATCHED).publish(event)
    things = ObjectInstanceArray(header=HEADER, instances=[chair(queries=[text])])
    publish(ObjectInstanceArray, "instances", LATCHED).publish(things)
    viewer = robot.start_node(
        CHECKOUT / "scripts" / "viewer", {"mode": "save", "path": str(path), "image_rate_hz": 5.0}
    )
    camera = robot.camera(walk())
    camera.wait_until_heard("color", "info", "tf")
    with camera.run():
        robot.client.until(lambda: "/map/cameras/camera/way" in drawn(path), "recorded image")
    viewer.check_alive()
    assert viewer.terminate(10) == 0
    recorded = drawn(path)
    assert f"chair 0.75: {text}" in recorded
    assert f"{text}: found" in recorded
    assert "/map/cloud" in recorded


def test_a_page_is_served_and_its_server_ends_with_the_node(robot: Robot) -> None:
    ports = {"port": 19000 + robot.domain, "web_port": 19200 + robot.domain}
    viewer = robot.start_node(CHECKOUT / "scripts" / "viewer", {"mode": "serve", **ports})
    viewer.wait_for_line("open http://127.0.0.1:", "in a browser")
    viewer.wait_for_line("Hosting a web-viewer")
    assert viewer.terminate(20) == 0
    leftovers = subprocess.run(["pgrep", "-f", f"web-viewer-port {ports['web_port']}"], capture_output=True)
    assert leftovers.stdout == b""


def test_a_parameter_out_of_range_is_refused_by_name(robot: Robot) -> None:
    viewer = robot.start_node(CHECKOUT / "scripts" / "viewer", {"image_rate_hz": 1000.0})
    assert viewer.wait(30) == 2
    assert viewer.log.holding("image_rate_hz")
