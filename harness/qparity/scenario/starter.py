"""The scenario file `qparity init` writes."""

import json

from qparity.scenario.variant import DEFAULT_VARIANTS

_TEXT = """\
# What is trained, the same on every variant. All keys: docs/scenarios.md. Run it:
#   qparity run <this file> --budget 1m --report
# trains and judges everything, then times for a minute; without --budget it times as long as precise ratios take.
description = "My first sweep"
variants = VARIANTS

circuit = "data_reuploading"      # or your own "module:function", with weight_shapes
wires = 2
dtype = "float64"
seed = 0

[data]
name = "fourier"
samples = 40
degree = 2

[training]
batch_size = 16
epochs = 5
optimizer = { name = "adam", learning_rate = 0.03 }

# Every combination of these is a scenario.
[matrix]
layers = [1, 3]
simulator = [
    { device = "default.qubit", diff_method = "backprop" },
    { device = "lightning.qubit", diff_method = "adjoint" },
]
"""

STARTER = _TEXT.replace("VARIANTS", json.dumps(list(map(str, DEFAULT_VARIANTS))))
