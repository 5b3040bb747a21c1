"""Data that a function of the user's makes (`data.source`): it runs in an interpreter of its own, before the sweep."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from qparity.data import OptionError
from qparity.data.own import single
from qparity.scenario.backends import BACKENDS
from qparity.scenario.errors import ScenarioError
from qparity.scenario.identity import find_module, search_path
from qparity.scenario.load import Block
from qparity.scenario.own_data import Given, digest_of
from qparity.scenario.variant import Variant

PATIENCE_S = 900.0
"""Seconds that a function may take to make its data."""
SOURCE = """
import importlib, inspect, json, sys
import numpy as np
asked = json.load(sys.stdin)
sys.path[:0] = asked["search"]
function = getattr(importlib.import_module(asked["module"]), asked["name"])
offered = {"samples": asked["samples"], "seed": asked["seed"]}
taken = inspect.signature(function).parameters
anything = any(p.kind is p.VAR_KEYWORD for p in taken.values())
offered = {k: v for k, v in offered.items() if anything or k in taken}
x, y = function(**offered, **asked["options"])
np.savez(asked["into"], x=np.asarray(x), y=np.asarray(y))
"""


class SourceError(Exception):
    """A function that gives no data: one line."""


@dataclass
class Sources:
    """Makes the data of blocks, once for all that ask the same.

    `interpreters` are those of backends that have their own; `tell` is told, in a line each, what is being run.
    """

    interpreters: Mapping[str, str]
    tell: Callable[[str], None]
    made: dict[str, Given] = field(default_factory=dict)

    def given(self, block: Block) -> Block:
        """The block with the data that its `data.source` makes; any other as it is.

        Raises:
            ScenarioError: there is no such module.
            SourceError: the function fails, takes too long, or returns no arrays of numbers.
        """
        scenario = block.scenario
        if not (source := scenario.data.source):
            return block
        folders = search_path(block.file.parent)
        module, _, name = source.partition(":")
        try:
            find_module(module, folders)
        except ScenarioError as error:
            raise ScenarioError(error.expected, file=block.file, key="data.source", value=source) from None
        asked: dict[str, Any] = {"search": [str(each) for each in folders[:2]], "module": module, "name": name}
        asked |= {"samples": scenario.data.samples, "seed": scenario.seed, "options": scenario.data.options}
        key = json.dumps(asked, sort_keys=True)
        if key not in self.made:
            self.tell(f"{block.file}: making the data of {scenario.name} with {source}")
            try:
                self.made[key] = self._run(asked, block.variants, source)
            except SourceError as error:
                raise SourceError(f"{block.file}: data.source = {source}: {error}") from None
        given = self.made[key]
        data = scenario.data.model_copy(update={"samples": len(given.x), "sha256": digest_of(given.x, given.y)})
        return replace(block, scenario=scenario.model_copy(update={"data": data}), given=given)

    def _run(self, asked: dict[str, Any], variants: Sequence[Variant], source: str) -> Given:
        interpreter, environment = self._where(variants)
        with tempfile.TemporaryDirectory(prefix="qparity-data-") as folder:
            into = Path(folder) / "data.npz"
            try:
                ran = subprocess.run(
                    [interpreter, "-P", "-c", SOURCE],
                    input=json.dumps(asked | {"into": str(into)}),
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise SourceError(f"it made no data in {PATIENCE_S:g} s") from None
            if ran.returncode:
                why = (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]
                raise SourceError(why[:300])
            try:
                with np.load(into, allow_pickle=False) as found:
                    x, y = single(found["x"], "x", source), single(found["y"], "y", source)
            except OptionError as error:
                raise SourceError(f"expected {error.expected}") from None
            except ValueError:
                raise SourceError("expected arrays of real numbers") from None
        if not len(x) or len(x) != len(y):
            raise SourceError(f"expected as many targets as samples, got {len(x)} and {len(y)}")
        return Given(x, y)

    def _where(self, variants: Sequence[Variant]) -> tuple[str, dict[str, str]]:
        """The interpreter, and its environment: a module that imports Keras gets a backend that is there."""
        for backend in dict.fromkeys(variant.backend for variant in variants):
            if backend in self.interpreters or importlib.util.find_spec(BACKENDS[backend].package):
                return self.interpreters.get(backend, sys.executable), os.environ | {"KERAS_BACKEND": backend}
        return sys.executable, dict(os.environ)
