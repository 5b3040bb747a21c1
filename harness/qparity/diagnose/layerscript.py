"""A reproducer of one Keras layer, applied to its recorded inputs and compared with the reference's values."""

from __future__ import annotations

import numpy as np

from qparity.diagnose import script
from qparity.diagnose.snippets import SNIPPETS
from qparity.diagnose.subject import Subject
from qparity.diagnose.templates import LAYER, LAYER_FORWARD, LAYER_SLOPE
from qparity.diagnose.walk import BACKWARD, LayerFinding
from qparity.oracle.probes import direction
from qparity.scenario.variant import Variant


def layer_body(subject: Subject, found: LayerFinding, variant: Variant) -> str:
    """The script's middle: `got`, `expected` and `tolerance` of the layer that the walk found wrong.

    A gradient is shown as its slope along a direction, as the reference knows it.
    """
    assert found.config is not None
    assert found.expected is not None
    tensors = "tensors" if found.listed else "*tensors"
    trained = _takes_training(found)
    body = LAYER.format(
        config=found.config,
        inputs=", ".join(map(script.literal, found.inputs)),
        weights=", ".join(map(script.literal, found.weights)),
        call=f"layer({tensors}{', training=True' if trained else ''})",
    )
    expected = found.expected.reshape(-1).astype(np.float64)
    if found.direction != BACKWARD:
        body += LAYER_FORWARD.format(number=found.number)
    else:
        assert found.call is not None
        by_weight = found.of_weight
        arrays = found.weights if by_weight else found.inputs
        source = f"layer.trainable_variables[{found.number}].value" if by_weight else f"tensors[{found.number}]"
        bars = [direction(shape, 0, found.call, k) for k, shape in enumerate(found.output_shapes)]
        towards = direction(arrays[found.number].shape, 2 if by_weight else 1, found.call, found.number)
        body += f"cotangents = [{', '.join(map(script.literal, bars))}]\ntowards = {script.literal(towards)}\n"
        body += SNIPPETS[variant.backend].layer_backward.format(
            source=source, argument=int(by_weight), number=found.number
        )
        body += LAYER_SLOPE
    tolerance = np.full(expected.shape, found.tolerance)
    return body + f"expected = {script.literal(expected)}\ntolerance = {script.literal(tolerance)}"


def _takes_training(found: LayerFinding) -> bool:
    return found.type in ("BatchNormalization", "Dropout", "GaussianNoise", "GaussianDropout", "SpectralNormalization")
