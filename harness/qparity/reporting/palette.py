"""Colours, dashes and shapes of variants: Okabe-Ito, told apart without colour too, in light and dark."""

from collections.abc import Sequence
from typing import Any

from qparity.scenario.backends import trainable

# variant -> (colour on white, colour on black, dashes)
_KNOWN = {mode.variant: (*mode.colours, mode.dashes) for facts in trainable() for mode in facts.modes}
_OTHERS = ("#555555", "#BBBBBB")
_GPU_DASHES = (9, 2, 2, 2)
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")


def style(variant: str) -> tuple[str, str, tuple[int, ...]]:
    """(colour on white, colour on black, dash pattern) of a variant; `@gpu` keeps the colour."""
    name, _, accelerator = variant.partition("@")
    light, dark, dashes = _KNOWN.get(name, (*_OTHERS, (4, 2)))
    return light, dark, _GPU_DASHES if accelerator else dashes


def for_charts(variants: Sequence[str]) -> dict[str, Any]:
    """What the charts' scales need, in the order of `variants`."""
    styles = [style(variant) for variant in variants]
    return {"light": [light for light, _, _ in styles], "dark": [dark for _, dark, _ in styles]}


def css(variants: Sequence[str]) -> str:
    """Rules that colour the legend: entry i of `variants` has class `v<i>`."""
    light = "".join(f".v{i}{{stroke:{style(variant)[0]}}}" for i, variant in enumerate(variants))
    dark = "".join(f'[data-theme="dark"] .v{i}{{stroke:{style(variant)[1]}}}' for i, variant in enumerate(variants))
    return light + dark


def dashes(variants: Sequence[str]) -> list[list[int]]:
    """The dash pattern of each variant."""
    return [list(style(variant)[2]) for variant in variants]


def shapes(variants: Sequence[str]) -> list[str]:
    """The marker of each variant."""
    return [SHAPES[i % len(SHAPES)] for i in range(len(variants))]
