from __future__ import annotations

import pickle

import numpy as np
import pytest

from diffir.contracts.picture import Picture
from diffir.degradations.diet import mix
from diffir.errors import CodecError, ComponentError, RecipeError, UnknownComponentError
from diffir.host.manager import default_host

SMALL = Picture(np.full((16, 16, 3), 99, np.uint8))


def infos(*tables: dict[str, object], draws: int = 40):
    mixture = pickle.loads(pickle.dumps(mix(tables, default_host())))
    rng = np.random.default_rng(0)
    return [mixture.degrade(SMALL, rng).codec for _ in range(draws)]


@pytest.mark.parametrize("ends", [[10, 12], [12, 10]])
def test_the_ends_of_a_range_in_either_order(ends):
    seen = infos({"weight": 1, "codec": "jpeg", "quality": ends})
    assert {info.quality for info in seen} == {10, 11, 12}
    assert {info.subsampling for info in seen} == {"4:2:0"}


def test_chroma_may_be_drawn():
    seen = infos({"weight": 1, "codec": "jpeg", "quality": [9, 9], "subsampling": "random"})
    assert {info.subsampling for info in seen} == {"4:2:0", "4:4:4"}


def test_chains_and_codecs_by_weight():
    seen = infos(
        {"weight": 1.0, "chain": "double-jpeg"},
        {"weight": 1.0, "codec": "hevc", "quality": [47, 47]},
    )
    assert {info.name for info in seen} == {"jpeg", "hevc"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"weight": 1}, "has the keys weight"),
        ({"weight": 1, "quality": [1, 2]}, "has the keys quality, weight"),
        ({"weight": 1, "chain": "double-jpeg", "quality": [1, 2]}, "has the keys chain, quality"),
        ({"weight": 1, "codec": "jpeg", "quality": [1, 2], "size": 3}, "has the keys .*size"),
        ({"weight": 1, "codec": "jpeg", "quality": 5}, "two whole numbers, got 5"),
        ({"weight": 1, "codec": "jpeg", "quality": [5]}, r"two whole numbers, got \[5\]"),
        ({"weight": 1, "codec": "jpeg", "quality": [1.5, 2]}, "two whole numbers"),
        ({"weight": "1", "codec": "jpeg", "quality": [1, 2]}, "weight of .*, got '1'"),
        ({"codec": "jpeg", "quality": [1, 2]}, "weight of .*, got None"),
    ],
)
def test_tables_that_say_something_else(table, message):
    with pytest.raises(RecipeError, match=message):
        infos(table)


def test_names_and_levels_that_are_not_there():
    with pytest.raises(UnknownComponentError, match="no codec called 'jpge'"):
        infos({"weight": 1, "codec": "jpge", "quality": [1, 2]})
    with pytest.raises(CodecError, match="has no level 300"):
        infos({"weight": 1, "codec": "jpeg", "quality": [1, 300]})
    with pytest.raises(ComponentError, match="one of them above 0"):
        infos()


def test_without_a_quality_the_levels_of_the_benchmark_are_drawn():
    host = default_host()
    [degradation] = mix([{"weight": 1.0, "codec": "jpeg2000"}], host).degradations
    assert degradation.levels == host.codec("jpeg2000").spec.levels
