"""Map files and checkpoints with anything in them: loaded whole, or refused by their own error, and never half.

The checksums are made right again, so that what is behind them is reached. `--hypothesis-profile=fuzz` tries more.
"""

import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzzed import FEW, changed_bytes, changed_json
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from maps import make_memory, make_snapshot, seal
from safetensors import safe_open
from safetensors.numpy import load, save
from safetensors.torch import load_file, save_file
from segmenter_parts import TINY, a_segmenter

from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.mapping.map_folder import DamagedMap
from ovseg3r_core.mapping.storage import load_both, load_map, save_map
from ovseg3r_core.segmenter.checkpoint import BadCheckpoint, Card, load_segmenter, save_segmenter


@pytest.fixture(scope="module")
def good_map(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a map by name."""
    folder = tmp_path_factory.mktemp("good")
    save_map(make_snapshot(), folder, make_memory(views=2))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def loads_whole_or_is_refused(files: dict[str, bytes], index: dict | None = None) -> None:
    """What can be loaded can be saved, and comes back."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        if index is not None:
            seal(folder, index)
        try:
            snapshot, memory = load_both(folder)
            load_map(folder)
        except DamagedMap:
            return
        assert np.isfinite(snapshot.cloud.xyz).all()
        assert all(np.isfinite([*it.centre, *it.box.centre, *it.box.size, it.score]).all() for it in snapshot.objects)
        save_map(snapshot, folder / "again", memory)
        assert load_map(folder / "again").objects == snapshot.objects


INDEX = "map.json"


@given(data=st.data())
def test_an_index_with_anything_in_it(good_map: dict[str, bytes], data: st.DataObject):
    content = json.loads(good_map[INDEX])["map"]
    changed = data.draw(changed_json(content))
    if isinstance(changed, dict):
        loads_whole_or_is_refused(good_map, changed)


@given(data=st.data())
def test_files_that_are_rubbish_behind_right_checksums(good_map: dict[str, bytes], data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(set(good_map) - {INDEX})))
    hurt = data.draw(changed_bytes(good_map[name]))
    content = json.loads(good_map[INDEX])["map"]
    content["files"][name] = hashlib.sha256(hurt).hexdigest()
    loads_whole_or_is_refused(good_map | {name: hurt}, content)


@given(data=st.data())
def test_an_index_that_is_rubbish(good_map: dict[str, bytes], data: st.DataObject):
    loads_whole_or_is_refused(good_map | {INDEX: data.draw(changed_bytes(good_map[INDEX]))})


tensors = arrays.arrays(
    st.sampled_from([np.float32, np.float64, np.int32, np.int64, np.uint8]),
    arrays.array_shapes(min_dims=0, max_dims=3, max_side=60),
    fill=st.sampled_from([0, 1, 7]),
)


@FEW
@given(data=st.data())
def test_clouds_of_any_type_and_shape(good_map: dict[str, bytes], data: st.DataObject):
    name = next(it for it in good_map if it.startswith("cloud-"))
    held = load(good_map[name])
    key = data.draw(st.sampled_from(sorted(held)))
    hurt = save(held | {key: data.draw(tensors)})
    content = json.loads(good_map[INDEX])["map"]
    content["files"][name] = hashlib.sha256(hurt).hexdigest()
    loads_whole_or_is_refused(good_map | {name: hurt}, content)


@pytest.fixture(scope="module")
def good_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "good.safetensors"
    card = Card(config=TINY, encoder=EncoderId(name="letters", source="nowhere"), data={"scenes": 3}, metrics={})
    save_segmenter(path, a_segmenter(), card, dtype=torch.float32)
    return path


@FEW
@given(data=st.data())
def test_a_card_with_anything_in_it(good_checkpoint: Path, data: st.DataObject):
    with safe_open(good_checkpoint, "pt") as file:
        card = json.loads(file.metadata()["card"])
    text = json.dumps(data.draw(changed_json(card)))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "hurt.safetensors"
        metadata = {"card": text, "card_sha256": hashlib.sha256(text.encode()).hexdigest()}
        save_file(load_file(good_checkpoint), path, metadata=metadata)
        try:
            segmenter, _ = load_segmenter(path)
        except BadCheckpoint:
            return
        assert all(weight.isfinite().all() for weight in segmenter.state_dict().values())
