"""Every codec that diffir brings keeps the contract, as the public suite checks it."""

from __future__ import annotations

import pytest

from diffir.host.manager import default_host
from diffir.testing import CodecSuite

BUILT_IN = [c.name for c in default_host().components("codec") if c.plugin == "diffir"]


class TestBuiltIn(CodecSuite):
    @pytest.fixture(params=BUILT_IN)
    def codec(self, request):
        return default_host().codec(request.param)
