"""Labelled scenes on disk: what comes back, what is refused, and the folder that holds many."""

import json
import re
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boxed_scenes import NAMES, boxed_scene
from safetensors.numpy import load_file, save_file

from ovseg3r_core.checks import Rejected
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import Camera, LiftedMask, SceneCloud
from ovseg3r_train.novel import hide_novel
from ovseg3r_train.packing import pack_normals, unpack_normals
from ovseg3r_train.scene import LabelledScene, SceneView
from ovseg3r_train.scene_files import clean_path, load_scene, save_scene
from ovseg3r_train.scene_set import INDEX, SceneSet

DOCS = Path(__file__).parents[2] / "docs" / "scene-files.md"


@pytest.fixture
def path(tmp_path) -> Path:
    save_scene(tmp_path / "boxes.safetensors", boxed_scene())
    return tmp_path / "boxes.safetensors"


def named(name: str) -> LabelledScene:
    return replace(boxed_scene(), name=name)


def test_a_saved_scene_comes_back(path):
    scene, again = boxed_scene(), load_scene(path)
    assert (again.name, dict(again.facts)) == (scene.name, dict(scene.facts))
    np.testing.assert_allclose(again.cloud.xyz, scene.cloud.xyz, atol=1.1e-4)
    assert (again.cloud.color == scene.cloud.color).all()
    assert ((again.cloud.normal * scene.cloud.normal).sum(axis=1) > np.cos(np.deg2rad(1))).all()
    for view, before in zip(again.views, scene.views, strict=True):
        assert view.camera == before.camera
        assert (view.T_map_camera == before.T_map_camera).all()
    assert again.truth is not None and scene.truth is not None
    assert (again.truth.instance == scene.truth.instance).all()
    assert again.truth.names == NAMES
    assert again.clean is not None and scene.clean is not None
    np.testing.assert_allclose(again.clean.xyz, scene.clean.xyz, atol=1.1e-4)
    assert (again.clean.truth.instance == scene.clean.truth.instance).all()


def test_masks_come_back_point_for_point(path):
    scene, again = boxed_scene(), load_scene(path)
    assert len(scene.lifted) > 10
    for mask, before in zip(again.lifted, scene.lifted, strict=True):
        assert (mask.view, mask.mask, mask.score, mask.label) == (before.view, before.mask, 0.75, before.label)
        assert (mask.points == before.points).all()
        assert len(mask.rim) and mask.rim.tolist() == before.rim.tolist()


def test_a_view_sees_the_same_points_at_the_same_pixels_or_the_ones_beside(path):
    scene, again = boxed_scene(), load_scene(path)
    assert (again.seen.offsets == scene.seen.offsets).all()
    assert (again.seen.points == scene.seen.points).all()
    off = np.abs(again.seen.pixels - scene.seen.pixels)
    assert off.max() <= 1
    assert (off.max(axis=1) == 0).mean() > 0.97


def test_the_same_scene_gives_the_same_file(path, tmp_path):
    save_scene(tmp_path / "again.safetensors", boxed_scene())
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_embeddings_come_back_as_unit_vectors_with_their_masks(tmp_path):
    rng, lifted = np.random.default_rng(0), list(boxed_scene().lifted)
    looks = rng.normal(size=(len(lifted), 32)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    lifted = [replace(mask, embedding=None if i % 3 else looks[i]) for i, mask in enumerate(lifted)]
    save_scene(tmp_path / "a.safetensors", replace(boxed_scene(), lifted=tuple(lifted)))
    for mask, before in zip(load_scene(tmp_path / "a.safetensors").lifted, lifted, strict=True):
        assert (mask.embedding is None) == (before.embedding is None)
        if mask.embedding is not None and before.embedding is not None:
            np.testing.assert_allclose(mask.embedding, before.embedding, atol=5e-4)
            assert np.linalg.norm(mask.embedding) == pytest.approx(1, abs=1e-6)


def test_a_scene_without_truth_masks_or_points_is_a_scene(tmp_path):
    nothing = LabelledScene(
        name="empty", cloud=SceneCloud.empty(), views=(), seen=Incidence.build([]), lifted=(), truth=None
    )
    save_scene(tmp_path / "empty.safetensors", nothing)
    again = load_scene(tmp_path / "empty.safetensors")
    assert (len(again.cloud), again.views, again.lifted, again.truth, again.clean) == (0, (), (), None, None)
    unlabelled = replace(boxed_scene(), truth=None, clean=None, lifted=())
    save_scene(tmp_path / "unlabelled.safetensors", unlabelled)
    assert load_scene(tmp_path / "unlabelled.safetensors").truth is None


def test_every_direction_survives_the_octahedron():
    rng = np.random.default_rng(0)
    normal = np.concatenate([rng.normal(size=(20_000, 3)), np.eye(3), -np.eye(3)]).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    cosine = (unpack_normals(pack_normals(normal)) * normal).sum(axis=1)
    assert np.rad2deg(np.arccos(np.clip(cosine, -1, 1))).max() < 1
    np.testing.assert_allclose(unpack_normals(pack_normals(np.eye(3, dtype=np.float32))), np.eye(3), atol=1e-6)


def test_a_home_takes_less_than_four_megabytes(tmp_path):
    """250,000 noisy points in voxel order, 40 views of 30,000 and 20 masks each: as large as homes get."""
    rng, n = np.random.default_rng(0), 250_000
    x, y = np.divmod(np.arange(n), 500)
    xyz = np.stack([x * 0.02, y * 0.02, np.zeros(n)], axis=1) + rng.normal(0, 0.004, (n, 3))
    normal = np.array([0, 0, 1]) + rng.normal(0, 0.1, (n, 3))
    color = np.clip(rng.normal(150, 6, (n, 3)), 0, 255).astype(np.uint8)
    cloud = SceneCloud(
        xyz=xyz.astype(np.float32),
        color=color,
        normal=(normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32),
    )
    scene = looked_at_from_above(cloud, [(5 + 0.1 * i - 2, 5.0) for i in range(40)])
    assert 25_000 < len(scene.seen.points) / 40 < 40_000
    assert len(scene.lifted) == 40 * 20
    save_scene(tmp_path / "home.safetensors", scene)
    assert (tmp_path / "home.safetensors").stat().st_size < 4e6


def looked_at_from_above(cloud: SceneCloud, places: list[tuple[float, float]]) -> LabelledScene:
    """A flat cloud seen by cameras 3 m above; 20 stripes of what each sees are masks."""
    from ovseg3r_core.reconstruction.incidence import see_points
    from ovseg3r_core.types import Frame

    camera = Camera(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)
    views, seen, lifted = [], [], []
    for x, y in places:
        T = np.array([[1, 0, 0, x], [0, -1, 0, y], [0, 0, -1, 3.2], [0, 0, 0, 1.0]])
        depth_m, color = np.full((480, 640), 3.2, np.float32), np.zeros((480, 640, 3), np.uint8)
        frame = Frame(index=0, stamp_s=0.0, color=color, depth_m=depth_m, camera=camera, T_map_camera=T)
        seen.append(see_points(cloud.xyz, frame))
        stripe = seen[-1].pixels[:, 0] // 32
        lifted += [
            LiftedMask(view=len(views), mask=k, points=seen[-1].points[stripe == k], score=0.5, label="chair")
            for k in range(20)
        ]
        views.append(SceneView(camera=camera, T_map_camera=T))
    return LabelledScene(name="home", cloud=cloud, views=tuple(views), seen=Incidence.build(seen), lifted=tuple(lifted))


# --- what cannot be written ---


def sharing_points(scene: LabelledScene) -> LabelledScene:
    first = scene.lifted[0]
    return replace(scene, lifted=(*scene.lifted, replace(first, mask=99)))


def unseen_points(scene: LabelledScene) -> LabelledScene:
    unseen = np.setdiff1d(np.arange(len(scene.cloud)), scene.seen.view(0).points)[:20]
    return replace(scene, lifted=(*scene.lifted, replace(scene.lifted[0], mask=99, points=unseen, rim=unseen[:0])))


def pixels_elsewhere(scene: LabelledScene) -> LabelledScene:
    return replace(scene, seen=replace(scene.seen, pixels=scene.seen.pixels + np.int32(5)))


def seen_twice(scene: LabelledScene) -> LabelledScene:
    points = scene.seen.points.copy()
    points[1] = points[0]
    return replace(scene, seen=replace(scene.seen, points=points), lifted=())


def unnamed_instance(scene: LabelledScene) -> LabelledScene:
    assert scene.truth is not None
    return replace(scene, truth=replace(scene.truth, names={3: "dining table"}))


def no_direction(scene: LabelledScene) -> LabelledScene:
    return replace(scene, cloud=replace(scene.cloud, normal=np.zeros_like(scene.cloud.normal)))


def facts_that_are_no_json(scene: LabelledScene) -> LabelledScene:
    return replace(scene, facts={"share": float("nan")})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (sharing_points, "masks of view 0 share points"),
        (unseen_points, "mask 99 of view 0 has points that its view does not see"),
        (pixels_elsewhere, "[56] pixels away from where it projects to"),
        (seen_twice, "sees a point twice"),
        (unnamed_instance, "instance 4 occurs and has no name"),
        (no_direction, "no direction"),
        (facts_that_are_no_json, "not JSON compliant"),
        (lambda scene: replace(scene, name="x" * 101), "name is 'xxx"),
    ],
)
def test_what_would_not_come_back_is_not_written(tmp_path, spoil, said):
    with pytest.raises(ValueError, match=said):
        save_scene(tmp_path / "a.safetensors", spoil(boxed_scene()))
    assert not list(tmp_path.iterdir())


# --- what cannot be read ---


def rewritten(path: Path, edit: Callable[[dict[str, Any]], object], **tensors: bytes) -> None:
    """The file with other JSON, and some streams replaced."""
    streams = load_file(path)
    about = json.loads(zlib.decompress(streams["about"].tobytes()))
    edit(about)
    streams["about"] = np.frombuffer(zlib.compress(json.dumps(about).encode()), np.uint8)
    streams |= {name: np.frombuffer(data, np.uint8) for name, data in tensors.items()}
    save_file(streams, path)


def put(*keys: str | int, value: object) -> Callable[[dict[str, Any]], object]:
    def edit(about: Any) -> None:
        for key in keys[:-1]:
            about = about[key]
        about[keys[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (put("format", value="something-else"), "'something-else' version 1"),
        (put("version", value=2), "version 2; this release reads"),
        (put("points", value=10**12), "points is 1000000000000"),
        (put("points", value=7), "xyz has shape"),
        (put("arrays", "xyz", "dtype", value="object"), "xyz is 'object'; it must be uint8"),
        (put("arrays", "xyz", "shape", value=[4, 3, 10**9]), "xyz has shape"),
        (put("arrays", "color", "shape", value=[10**8, 3]), "color has 300000000 bytes; at most"),
        (put("arrays", "color", "shape", value=[3, 3]), "color does not unfold to 9 bytes"),
        (put("arrays", "instance", "shape", value=[-4]), "instance has shape"),
        (lambda about: about["arrays"].pop("seen"), "there is no seen"),
        (lambda about: about.pop("masks"), "masks"),
        (put("origin_m", value=[0, 0, 1e300]), "origin_m is"),
        (put("origin_m", value=[0, 0]), "origin_m is"),
        (put("step_m", value=0.5), "step_m is 0.5"),
        (put("step_m", value=float("nan")), "step_m is nan"),
        (put("views", 0, "T_map_camera", value=[[2, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "not rigid"),
        (put("views", 0, "T_map_camera", value=np.eye(4).tolist()), "view 0 sees a point"),
        (put("views", 0, "camera", "fx", value=-1.0), "focal lengths must be positive"),
        (put("views", 0, "camera", "width", value=10**6), "1000000x120 pixels"),
        (put("views", 0, "camera", "width", value=60), "view 0 sees a point .* outside its image"),
        (put("views", value=[]), "seen has shape"),
        (put("views", value=[0] * 10_001), "10001 views; at most"),
        (put("masks", 0, "view", value=77), "a mask is of view 77, but there are 5"),
        (put("masks", 0, "view", value=-1), "view of a mask is -1"),
        (put("masks", 0, "score", value=float("inf")), "score is inf"),
        (put("masks", 0, "label", value=["x"]), "label is"),
        (put("masks", 0, "embedding", value=0), "IndexError"),
        (put("masks", value=[]), "belongs to mask 4 of its view, which has fewer"),
        (put("names", value={"3": "dining table"}), "instance 4 occurs and has no name"),
        (lambda about: about["names"].update({"-7": "ghost"}), "instance ids go from -7"),
        (put("facts", value=[1]), "facts are"),
        (put("name", value=""), "name is ''"),
    ],
)
def test_a_file_that_says_what_cannot_be_is_refused(path, edit, said):
    rewritten(path, edit)
    with pytest.raises(Rejected, match=rf"boxes\.safetensors is no scene that can be used: .*{said}") as refused:
        load_scene(path)
    assert refused.value.reason == "bad_scene"


def bomb(size: int) -> bytes:
    return zlib.compress(bytes(size), 9)


def nested(depth: int) -> bytes:
    return zlib.compress(b"[" * depth + b"]" * depth)


@pytest.mark.parametrize(
    ("tensor", "data"),
    [
        ("about", bomb(17 << 20)),  # 17 kB that unfold to more JSON than is read
        ("about", nested(100_000)),
        ("about", zlib.compress(b"[]")),
        ("color", bomb(64 << 20)),
        ("color", b"no stream"),
        ("seen", zlib.compress(b"")),
        ("seen", bytes(bomb(10_000))[:-4]),  # cut off
    ],
)
def test_a_stream_unfolds_to_what_was_announced_or_not_at_all(path, tensor, data):
    rewritten(path, lambda about: None, **{tensor: data})
    with pytest.raises(Rejected, match="is no scene that can be used"):
        load_scene(path)


def test_bits_behind_the_last_point_are_refused(path):
    streams = load_file(path)
    points = len(boxed_scene().cloud)
    assert points % 8, "this cloud happens to fill its bytes"
    bits = np.frombuffer(zlib.decompress(streams["seen"].tobytes()), np.uint8).copy()
    bits[-1] |= 1
    pairs = len(boxed_scene().seen.points) + 1
    of_pair = zlib.decompress(streams["mask_of_pair"].tobytes()) + b"\0"
    longer = put("arrays", "mask_of_pair", "shape", value=[pairs])
    rewritten(path, longer, seen=zlib.compress(bits.tobytes()), mask_of_pair=zlib.compress(of_pair))
    with pytest.raises(Rejected, match="bits are set behind the last"):
        load_scene(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(Rejected, match="boxes"):
        load_scene(path)


def test_clean_vertices_are_those_of_the_scene_or_none(path, tmp_path):
    assert load_scene(path, clean=False).clean is None
    other = replace(boxed_scene(), clean=replace(boxed_scene().clean, xyz=boxed_scene().clean.xyz + np.float32(1)))
    save_scene(tmp_path / "other.safetensors", other)
    clean_path(tmp_path / "other.safetensors").replace(clean_path(path))
    with pytest.raises(Rejected, match=r"boxes\.clean\.safetensors was truncated, damaged or replaced"):
        load_scene(path)
    clean_path(path).unlink()
    with pytest.raises(FileNotFoundError, match=r"boxes\.clean\.safetensors is missing"):
        load_scene(path)
    assert load_scene(path, clean=False).name == "boxes"


def test_the_example_of_the_documentation_is_a_scene(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write, add = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), flags=re.DOTALL)
    exec(write, {})
    scene = load_scene(Path("floor-and-box.safetensors"))
    (mask,) = scene.lifted
    assert scene.truth is not None
    assert (scene.truth.instance[mask.points] == 1).all()
    assert len(mask.points) == (scene.truth.instance == 1).sum() > 50
    assert (scene.cloud.normal == (0, 0, 1)).all()
    assert scene.cloud.xyz.max(axis=0) == pytest.approx([0.98, 0.98, 0.3], abs=1e-4)
    exec(add, {})
    assert SceneSet(tmp_path / "my_scenes").only(masks="by hand").names == ("floor-and-box",)


# --- many of them ---


def test_a_set_reads_its_scenes_in_order_and_by_split_and_masks(tmp_path):
    scenes = SceneSet.create(tmp_path / "many")
    for name, split, masks in (("b", "train", "perfect"), ("a", "test", "perfect"), ("c", "test", "default")):
        scenes.add(named(name), split, masks)
    assert [scene.name for scene in SceneSet(tmp_path / "many").read()] == ["a", "b", "c"]
    assert scenes.names == ("a", "b", "c")
    assert scenes.only(split="test").names == ("a", "c")
    assert scenes.only(split="test").only(masks="default").names == ("c",)
    assert [scene.clean for scene in scenes.only(split="train").read(clean=False)] == [None]
    (entry,) = scenes.only(masks="default").entries
    assert entry.classes == {"ball": 1, "cabinet": 1, "cup": 1, "dining table": 1}
    assert (entry.points, entry.views) == (len(boxed_scene().cloud), len(boxed_scene().views))


def test_whoever_stops_reading_early_leaves_nothing_running(tmp_path):
    scenes = SceneSet.create(tmp_path)
    for name in "abc":
        scenes.add(named(name), "train")
    reading = scenes.read()
    assert next(iter(reading)).name == "a"
    reading.close()  # pyright: ignore[reportAttributeAccessIssue]: a generator


def test_scenes_added_at_once_are_all_listed(tmp_path):
    SceneSet.create(tmp_path)
    names = [f"scene{i}" for i in range(12)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: SceneSet.create(tmp_path).add(named(name), "train"), names))
    assert SceneSet(tmp_path).names == tuple(sorted(names))


def test_a_damaged_scene_is_told_and_made_again(tmp_path):
    scenes = SceneSet.create(tmp_path)
    scenes.add(named("a"), "train")
    assert scenes.is_whole("a")
    assert not scenes.is_whole("b")
    data = bytearray((tmp_path / "a.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "a.safetensors").write_bytes(bytes(data))
    assert not SceneSet(tmp_path).is_whole("a")
    with pytest.raises(Rejected, match=r"a\.safetensors was truncated, damaged or replaced"):
        list(SceneSet(tmp_path).read())
    scenes.add(named("a"), "train")
    assert SceneSet(tmp_path).is_whole("a")


@pytest.mark.parametrize("name", ["../a", "a/b", "", ".hidden", "a.clean", "a b", "x" * 100])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="is no name for a scene"):
        SceneSet.create(tmp_path / "set").add(named(name), "train")
    assert [file.name for file in (tmp_path / "set").iterdir()] == [INDEX]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"format": "ovseg3r-scenes", "version": 2, "scenes": {}}',
        '{"format": "ovseg3r-scenes", "version": 1, "scenes": {"../a": {}}}',
        '{"format": "ovseg3r-scenes", "version": 1, "scenes": {"a": {"name": "a"}}}',
        '{"format": "ovseg3r-scenes", "version": 1, "scenes": []}',
    ],
)
def test_a_damaged_index_is_refused(tmp_path, text):
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(Rejected, match="is no index of scenes"):
        SceneSet(tmp_path)


def test_a_folder_without_an_index_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="ovseg3r-train scenes"):
        SceneSet(tmp_path)


def test_novel_classes_are_hidden_and_it_is_told():
    scene = boxed_scene()
    assert scene.truth is not None and scene.clean is not None
    hidden = hide_novel(scene)
    assert hidden.truth is not None and hidden.clean is not None
    assert set(hidden.truth.names) == set(hidden.clean.truth.names) == {3, 5}
    novel = np.isin(scene.truth.instance, [4, 6])
    assert (hidden.truth.instance == np.where(novel, -1, scene.truth.instance)).all()
    assert not np.isin(hidden.clean.truth.instance, [4, 6]).any()
    assert hidden.facts["hidden"] == {"split": "novel", "names": ["ball", "cup"], "instances": 2}
    assert hidden.facts["generator"] == "boxes"
    assert hidden.lifted == scene.lifted
