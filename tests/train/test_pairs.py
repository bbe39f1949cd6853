from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from diffir.contracts.codec import CodecInfo
from diffir.degradations.diet import mix
from diffir.errors import CodecError, DataError
from diffir.host.manager import default_host
from diffir.train.pairs import Pairs, Told, collate, collate_told


@pytest.fixture(scope="module")
def degradation(tiny_recipe):
    return mix(tiny_recipe.training.degradations, default_host())


def pictures(*sizes: tuple[int, int]) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return [[rng.integers(0, 256, (*size, 3), np.uint8)] for size in sizes]


def pairs(
    degradation,
    *,
    seed: int = 0,
    crop: int = 32,
    synthetic: float = 0.3,
    clean: float = 0.1,
    untold: float = 0.4,
    alike: int = 1,
):
    return Pairs(
        pictures((40, 50), (70, 33)),
        degradation,
        crop=crop,
        synthetic=synthetic,
        clean=clean,
        untold=untold,
        seed=seed,
        alike=alike,
    )


def same(one, other) -> bool:
    return torch.equal(one[0], other[0]) and torch.equal(one[1], other[1]) and one[2:] == other[2:]


def test_a_pair_is_a_function_of_seed_and_number(degradation):
    forward = [pairs(degradation)[i] for i in range(6)]
    dataset = pairs(degradation)
    backward = [dataset[i] for i in reversed(range(6))][::-1]
    assert all(same(one, other) for one, other in zip(forward, backward, strict=True))
    assert not same(forward[0], forward[1])
    assert not same(forward[0], pairs(degradation, seed=1)[0])


def test_what_a_pair_is(degradation):
    clean, degraded, codec, tell = pairs(degradation, clean=0)[3]
    assert clean.shape == degraded.shape == (3, 32, 32)
    assert clean.dtype == degraded.dtype == torch.uint8
    assert codec.name in ("jpeg", "webp")
    assert isinstance(tell, bool)
    assert not torch.equal(clean, degraded)


def test_some_are_left_clean_and_some_are_drawn(degradation):
    untouched = pairs(degradation, clean=1)[0]
    assert torch.equal(untouched[0], untouched[1])
    assert not untouched[2].known
    drawn = pairs(degradation, synthetic=1)
    assert all(float(drawn[i][0].float().std()) < 125 for i in range(3))
    assert not same(drawn[0], pairs(degradation, synthetic=0)[0])


def test_crops_lie_in_the_picture_turned_and_mirrored(degradation):
    dataset = Pairs(
        [[np.arange(32 * 32 * 3, dtype=np.int64).reshape(32, 32, 3).astype(np.uint8)]],
        degradation,
        crop=32,
        synthetic=0,
        clean=1,
        seed=0,
    )
    views = {dataset[i][0].numpy().tobytes() for i in range(40)}
    square = torch.from_numpy(dataset.pictures[0][0].transpose(2, 0, 1).copy())
    turned = [torch.rot90(side, k, (1, 2)) for side in (square, square.flip(2)) for k in range(4)]
    assert views <= {view.numpy().tobytes() for view in turned}
    assert len(views) > 4


@pytest.mark.parametrize("untold", [0, 0.1, 0.4, 1])
def test_about_as_many_are_told_as_promised(degradation, untold):
    dataset = pairs(degradation, clean=1, synthetic=0, untold=untold)
    told = np.mean([dataset[i][3] for i in range(300)])
    assert abs(told - (1 - untold)) < 0.1


def test_pairs_of_a_step_may_be_of_one_degradation(degradation):
    def codecs(alike):
        dataset = pairs(degradation, clean=0, alike=alike)
        return [dataset[i][2].name for i in range(64)]

    steps = [codecs(8)[i : i + 8] for i in range(0, 64, 8)]
    assert all(len(set(step)) == 1 for step in steps)
    assert len({step[0] for step in steps}) > 1
    assert codecs(8) == codecs(8)
    assert any(len(set(codecs(1)[i : i + 8])) > 1 for i in range(0, 64, 8))


def test_a_batch(degradation):
    dataset = pairs(degradation, clean=0)
    rows = [dataset[i] for i in range(6)]
    batch = collate(rows)
    assert batch.clean.shape == batch.degraded.shape == (6, 3, 32, 32)
    assert batch.clean.dtype == torch.float32
    assert 0 <= batch.degraded.min() < batch.degraded.max() <= 1
    torch.testing.assert_close(batch.clean[2] * 255, rows[2][0].float())
    assert batch.codecs == tuple(row[2] for row in rows)
    for told, (_, _, codec, tell) in zip(batch.told, rows, strict=True):
        assert told == (codec if tell else CodecInfo.unknown())
    moved = batch.to(torch.device("cpu"))
    assert moved.clean.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(moved.degraded, batch.degraded)


def test_parts_of_a_batch(degradation):
    dataset = pairs(degradation)
    batch = collate([dataset[i] for i in range(4)])
    parts = batch.parts(2)
    assert [len(part.codecs) for part in parts] == [2, 2]
    assert torch.equal(torch.cat([part.degraded for part in parts]), batch.degraded)
    assert torch.equal(torch.cat([part.clean for part in parts]), batch.clean)
    assert parts[0].codecs + parts[1].codecs == batch.codecs
    assert parts[0].told + parts[1].told == batch.told


class Refused(Dataset):
    def __getitem__(self, index):
        raise CodecError("the encoder failed", hint="Look at what it said.")


def test_an_error_of_a_worker_comes_with_its_hint():
    loader = DataLoader(
        Told(Refused()), sampler=[0, 1], batch_size=2, num_workers=1, collate_fn=collate_told
    )
    [found] = loader
    assert type(found) is CodecError
    assert (found.message, found.hint) == ("the encoder failed", "Look at what it said.")


def test_scales_that_are_too_small_are_passed_over(degradation):
    (large, small) = pictures((40, 50), (20, 90))
    dataset = Pairs([[*large, *small], small], degradation, crop=32, synthetic=0, clean=1, seed=0)
    assert len(dataset.pictures) == 1
    assert len(dataset.pictures[0]) == 1


def test_no_picture_is_large_enough(degradation):
    with pytest.raises(DataError, match="no picture is at least 64 pixels wide and high"):
        pairs(degradation, crop=64)
