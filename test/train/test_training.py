"""The training loop: what a step learns from, that it learns, and that a stopped training goes on as if it had not."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from training_parts import TINY, examples, texts

from ovseg3r_core.segmenter.build import build_segmenter, small_config
from ovseg3r_core.segmenter.checkpoint import Card, save_segmenter
from ovseg3r_core.segmenter.segmenter import Segmenter
from ovseg3r_train.learning.losses import Losses
from ovseg3r_train.learning.targets import NOT_ASKED
from ovseg3r_train.scene import NO_INSTANCE
from ovseg3r_train.training.augment import NO_CHANGE, AugmentConfig, augmented, bend
from ovseg3r_train.training.export import exported
from ovseg3r_train.training.history import HISTORY, History
from ovseg3r_train.training.lessons import Lessons, by_video, cut_to
from ovseg3r_train.training.prepare import texts_of
from ovseg3r_train.training.state import STATE, load_state
from ovseg3r_train.training.trainer import Run, _rate, halve_backbone, train

SCENES = examples()
TEXTS = texts()


def learn(folder: Path, config=TINY, **run) -> tuple[Segmenter, list[float]]:
    told: list[float] = []

    def note(step: int, losses: Losses) -> None:
        told.append(float(losses.total.detach()))

    run = Run(folder=folder, device="cpu", workers=0, **run)
    return train(config, SCENES, TEXTS, run, on_step=note), told


def same(one: Segmenter, other: Segmenter) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_training_that_was_stopped_twice_ends_at_the_same_weights(tmp_path: Path) -> None:
    whole, _ = learn(tmp_path / "whole")
    for _ in range(2):
        learn(tmp_path / "stopped", seconds=0.0)
    assert load_state(tmp_path / "stopped")["step"] == 2
    rest, told = learn(tmp_path / "stopped")
    assert len(told) == 2 and same(whole, rest)


def test_the_weights_of_a_training_that_was_stopped_are_taken_out_with_what_is_known_of_them(tmp_path: Path) -> None:
    stopped, _ = learn(tmp_path, seconds=0.0)
    encoder = SimpleNamespace(name=TEXTS.encoder.name, embed=lambda names: np.zeros((len(names), 16), np.float32))
    texts_of(SCENES, tmp_path, lambda: encoder, TEXTS.encoder.source)
    segmenter, card = exported(tmp_path)
    assert same(segmenter, stopped) and not segmenter.training
    assert (card.data["step"], card.encoder, card.config) == (1, TEXTS.encoder, stopped.config)
    assert card.metrics == {}
    with (tmp_path / HISTORY).open("a") as file:
        file.write('{"step": 1, "val/ap": 12.5}\n{"step": 9, "val/ap": 50.0}\n')
    assert exported(tmp_path)[1].metrics == {"ap": 12.5, "validated_at_step": 1}


def test_nothing_is_taken_out_of_a_folder_without_a_training(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"no {STATE} in"):
        exported(tmp_path)


def test_it_learns(tmp_path: Path) -> None:
    _, told = learn(tmp_path, replace(TINY, steps=12, augment=NO_CHANGE))
    assert np.mean(told[-3:]) < 0.7 * told[0]


def test_a_folder_of_other_settings_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    learn(tmp_path, seconds=0.0)
    with pytest.raises(ValueError, match="other settings \\(rate\\)"):
        learn(tmp_path, replace(TINY, rate=0.5))
    state = tmp_path / STATE
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(ValueError, match="holds no training"):
        learn(tmp_path)


def test_a_training_may_become_longer_or_shorter_until_its_rate_falls(tmp_path: Path) -> None:
    level = replace(TINY, fall=0.5, steps=6)
    whole, _ = learn(tmp_path / "whole", level)
    learn(tmp_path / "changed", replace(level, steps=4), seconds=0.0)
    rest, told = learn(tmp_path / "changed", level)
    assert len(told) == 5 and same(whole, rest)
    with pytest.raises(ValueError, match="other settings \\(steps\\)"):
        learn(tmp_path / "changed", replace(level, steps=8))


def test_the_rate_rises_stays_and_falls() -> None:
    config = replace(TINY, steps=100, warm_up=10, fall=0.5)
    rates = [_rate(step, config) for step in range(101)]
    assert rates[0] == 0.1 and rates[10:51] == [1.0] * 41
    assert rates[75] == pytest.approx(0.5**0.9) and rates[100] == 0.0
    assert _rate(55, replace(config, fall=1.0)) == pytest.approx(0.5**0.9)


def test_a_training_may_start_from_a_checkpoint_of_the_same_texts(tmp_path: Path) -> None:
    net, _ = learn(tmp_path / "first")
    path = tmp_path / "net.safetensors"
    save_segmenter(path, net, Card(config=net.config, encoder=TEXTS.encoder), dtype=torch.float32)
    barely = replace(TINY, steps=1, rate=0.0, warm_up=0)
    again, _ = learn(tmp_path / "second", barely, start=path)
    learned = [name for name, _ in net.named_parameters()]
    assert all(torch.allclose(net.state_dict()[name], again.state_dict()[name]) for name in learned)
    other = replace(TEXTS, encoder=replace(TEXTS.encoder, name="another"))
    with pytest.raises(ValueError, match="another"):
        train(barely, SCENES, other, Run(folder=tmp_path / "third", device="cpu", start=path))


def test_a_halved_backbone_says_nearly_the_same_in_float32() -> None:
    lesson = Lessons(SCENES, TEXTS.places, TINY)[0]
    net = build_segmenter(small_config(voxel_size_m=0.05, text_channels=16))
    pyramid = net.pyramid(lesson.batch)
    features = torch.randn(pyramid.voxels[0], 6, generator=torch.Generator().manual_seed(0))
    whole = net.backbone(features, pyramid).detach()
    halve_backbone(net)
    half = net.backbone(features, pyramid)
    assert half.dtype == torch.float32
    assert 0 < (half - whole).abs().max() < 0.05 * whole.abs().max()
    half.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in net.backbone.parameters())


def test_validation_sees_the_mean_of_the_weights_and_is_told(tmp_path: Path) -> None:
    seen = []

    def look(segmenter: Segmenter) -> Mapping[str, float]:
        seen.append(segmenter)
        return {"val/ap50": 12.0}

    run = Run(folder=tmp_path, device="cpu", workers=0, validate_every=2)
    net = train(TINY, SCENES, TEXTS, run, look=look)
    assert len(seen) == 2 and seen[-1] is net
    history = History(tmp_path, step=2)
    assert [row["step"] for row in history.rows if "val/ap50" in row] == [2]  # what came after step 2 is forgotten
    assert (tmp_path / "training.png").is_file()
    history.close()


def test_a_step_is_the_same_whenever_it_is_drawn_and_shared_without_talking() -> None:
    lessons = Lessons(SCENES, TEXTS.places, TINY)
    once, again = lessons[3], Lessons(SCENES, TEXTS.places, TINY)[3]
    assert torch.equal(once.batch.xyz, again.batch.xyz) and torch.equal(once.seeds, again.seeds)
    assert not torch.equal(once.batch.xyz[:50], lessons[4].batch.xyz[:50])
    two = replace(TINY, lessons=replace(TINY.lessons, scenes=4, pseudo_scenes=2))
    mine, theirs = (Lessons(SCENES, TEXTS.places, two, rank=rank, processes=2)[0] for rank in (0, 1))
    assert mine.batch.scenes == theirs.batch.scenes == 2
    assert not torch.equal(mine.batch.xyz[:50], theirs.batch.xyz[:50])
    with pytest.raises(ValueError, match="cannot be shared by 3"):
        Lessons(SCENES, TEXTS.places, two, processes=3)


def test_switches_of_the_ablation_change_what_is_learned() -> None:
    def lesson(**changes):
        config = replace(TINY, augment=NO_CHANGE, lessons=replace(TINY.lessons, **changes))
        return Lessons(SCENES, TEXTS.places, config)[0]

    vip = lesson()
    assert vip.part is not None and len(vip.views.real) == 3 and len(vip.truth.real) == 1
    whole = lesson(partition="none")
    assert whole.part is None and len(whole.views.real) == 1
    assert lesson(pseudo_scenes=0).views is None and lesson(pseudo_scenes=2).truth is None
    assert lesson(classes="all").truth.real.sum() == 3
    base = lesson()
    assert base.truth.real.sum() == 2  # "lamp" is novel
    assert base.truth.nothing.all()
    doubting = lesson(doubt_silence=True).truth
    assert not doubting.nothing.all() and (doubting.semantic[~doubting.nothing] == NOT_ASKED).all()
    with pytest.raises(ValueError, match="no scene has masks"):
        lesson(pseudo_share=0.0)


def test_a_training_may_spare_what_other_views_answer_with(tmp_path: Path) -> None:
    def first_step(folder: str, **changes) -> Losses:
        config = replace(TINY, steps=1, lessons=replace(TINY.lessons, **changes))
        told: list[Losses] = []
        run = Run(folder=tmp_path / folder, device="cpu", workers=0)
        train(config, SCENES, TEXTS, run, on_step=lambda _, losses: told.append(losses))
        return told[0]

    taught, spared = first_step("taught"), first_step("spared", spare_matched=True)
    assert taught.name != spared.name
    assert torch.equal(taught.dice, spared.dice) and torch.equal(taught.semantic, spared.semantic)
    with pytest.raises(ValueError, match="partition=views"):
        first_step("whole", spare_matched=True, partition="none")


def test_a_video_that_was_reconstructed_twice_counts_once_in_any_of_its_ways() -> None:
    eight, five = SCENES
    again = replace(five, name="tiny5-odometry", video=five.video)
    assert [[it.name for it in ways] for ways in by_video([again, eight, five], mix=True)] == [
        ["tiny5", "tiny5-odometry"],
        ["tiny8"],
    ]
    assert by_video([again, eight, five], mix=False) == [[five], [eight]]
    # Told apart by their points: the ways of the video have one and two points less.
    one, two = (
        replace(it, xyz=it.xyz[:-less], color=it.color[:-less], superpoint=it.superpoint[:-less])
        for less, it in ((1, five), (2, again))
    )
    only_masks = replace(TINY, augment=NO_CHANGE, lessons=replace(TINY.lessons, scenes=1, pseudo_scenes=1))

    def drawn(mix: bool) -> Counter[int]:
        config = replace(only_masks, steps=40, lessons=replace(only_masks.lessons, mix=mix))
        lessons = Lessons([eight, one, two], TEXTS.places, config)
        return Counter(len(lessons[step].batch.xyz) for step in range(40))

    mixed, first = drawn(True), drawn(False)
    sizes = [len(it.xyz) for it in (eight, one, two)]
    assert mixed.keys() == set(sizes) and len(mixed) == 3
    assert 12 <= mixed[sizes[0]] <= 28 and all(mixed[size] >= 4 for size in sizes[1:])
    assert first[sizes[2]] == 0 and 12 <= first[sizes[0]] <= 28


def test_a_large_scene_is_cut_along_superpoints() -> None:
    whole = SCENES[0]
    part = cut_to(whole, 600, np.random.default_rng(0))
    assert 0 < len(part.xyz) <= 600 and part.superpoints < whole.superpoints
    assert np.array_equal(np.unique(part.superpoint), np.arange(part.superpoints))
    assert part.masks.share.shape == (8, part.superpoints)
    assert set(np.unique(part.truth.instance)) <= {NO_INSTANCE, 1, 2, 3}
    assert cut_to(whole, 10**6, np.random.default_rng(0)) is whole


def test_augmentation_moves_everything_together_and_bends_as_much_as_it_says() -> None:
    rng = np.random.default_rng(0)
    xyz, color = SCENES[0].xyz, SCENES[0].color
    kept, lit = augmented(xyz, color, NO_CHANGE, rng)
    assert np.allclose(kept, xyz, atol=1e-5) and np.array_equal(lit, color)
    rigid = AugmentConfig(scale=0.0, elastic=0.0)
    turned, _ = augmented(xyz, color, rigid, rng)
    pairs = rng.integers(len(xyz), size=(2, 200))
    before, after = (np.linalg.norm(points[pairs[0]] - points[pairs[1]], axis=1) for points in (xyz, turned))
    assert np.allclose(before, after, atol=1e-4)
    assert np.allclose(np.ptp(turned[:, 2]), np.ptp(xyz[:, 2]), atol=1e-4)  # z stays up
    moves = bend(rng.uniform(-2, 2, (5000, 3)).astype(np.float32), 0.4, 0.04, rng)
    assert 0.02 < np.sqrt((moves**2).mean()) < 0.05
