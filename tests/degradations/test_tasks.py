from __future__ import annotations

import logging
import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from diffir.contracts.picture import Picture
from diffir.degradations.tasks import METHOD_TASKS, find_task, select_tasks, tasks
from diffir.errors import CodecError, UnknownComponentError
from diffir.host import builtins
from diffir.host.hookspecs import hookimpl
from diffir.host.manager import Host, default_host

SMALL = Picture(np.full((16, 16, 3), 99, np.uint8))


def host_with(**hooks) -> Host:
    return Host([("diffir", "built in", builtins), ("extra", "a test", SimpleNamespace(**hooks))])


@hookimpl
def register_codecs(register):
    register("lost", "no_such_package.codec:Lost", summary="a codec that is not installed")


class TestTasks:
    def test_each_level_of_each_codec(self):
        names = [task.name for task in tasks(default_host())]
        assert names[:3] == ["jpeg-10", "jpeg-15", "jpeg-20"]
        assert {"webp-1", "avif-10", "hevc-42", "avc-37"} <= set(names)
        assert len(names) == len(set(names))

    def test_a_codec_that_is_not_installed_is_passed_over(self, caplog):
        with caplog.at_level(logging.WARNING, "diffir"):
            names = [task.name for task in tasks(host_with(register_codecs=register_codecs))]
        assert "jpeg-10" in names
        assert not [name for name in names if name.startswith("lost")]
        assert "codec 'lost' of plugin 'extra' is passed over" in caplog.text

    @pytest.mark.parametrize("name", [task.name for task in tasks(default_host())])
    def test_each_is_picklable_and_works(self, name):
        task = pickle.loads(pickle.dumps(find_task(default_host(), name)))
        degraded = task.degrade(SMALL, np.random.default_rng(0))
        assert degraded.pixels.shape == SMALL.pixels.shape
        assert degraded.codec.name == name.rpartition("-")[0]


class TestFindTask:
    def test_any_level(self):
        degraded = find_task(default_host(), "jpeg-33").degrade(SMALL, np.random.default_rng(0))
        assert degraded.codec.quality == 33

    def test_a_registered_degradation(self):
        task = find_task(default_host(), "double-jpeg")
        assert task.name == "double-jpeg"
        assert task.degrade(SMALL, np.random.default_rng(0)).codec.name == "jpeg"

    def test_a_misspelt_name_gets_near_ones(self):
        with pytest.raises(UnknownComponentError, match="no task called 'jpge-10'") as caught:
            find_task(default_host(), "jpge-10")
        assert "jpeg-10" in caught.value.hint

    @pytest.mark.parametrize("name", ["jpeg", "jpeg-low", "", "zzz"])
    def test_names_that_are_no_task(self, name):
        with pytest.raises(UnknownComponentError, match=f"no task called '{name}'"):
            find_task(default_host(), name)

    @pytest.mark.parametrize("level", ["200", "nan", "inf"])
    def test_a_level_off_the_scale(self, level):
        with pytest.raises(CodecError, match=f"'jpeg' has no level {level}"):
            find_task(default_host(), f"jpeg-{level}")


class TestSelectTasks:
    def test_all_without_names(self):
        names = [task.name for task in select_tasks(default_host(), ())]
        assert names == [task.name for task in tasks(default_host())]

    def test_each_once_in_the_order_given(self):
        chosen = select_tasks(default_host(), ("webp-5", "jpeg-10", "webp-5"))
        assert [task.name for task in chosen] == ["webp-5", "jpeg-10"]

    def test_the_method_has_21(self):
        assert len(set(METHOD_TASKS)) == 21

    def test_the_methods_tasks_without_the_plugins(self):
        bare = Host([("diffir", "built in", builtins)])
        with pytest.raises(UnknownComponentError, match=r"task 'vvc-47' of the method") as caught:
            select_tasks(bare, ("method",))
        assert "diffir-vvc and diffir-learned" in caught.value.hint
