"""An interpreter that has nothing must still be able to say what it lacks: what a worker reads first needs nothing."""

import asyncio
import subprocess
import sys

import pytest

from qparity.runner.pool import Pool, Unavailable
from qparity.scenario.backends import trainable
from qparity.scenario.variant import Variant


def test_an_interpreter_without_any_package_says_what_is_missing(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    facts = trainable()[0]
    bare = {facts.name: str(tmp_path / "bare" / "bin" / "python")}

    async def start():
        async with Pool(tmp_path, 1, bare) as pool:
            await pool.server(Variant.parse(facts.modes[0].variant))

    with pytest.raises(Unavailable, match=f"{facts.package} is not installed in") as refused:
        asyncio.run(start())
    assert refused.value.status == "unsupported"
