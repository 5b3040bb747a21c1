"""What a reproducer says in each framework's own words; the rest of it is in `templates`.

Each text is a part of a script that an upstream maintainer reads. A backend without an entry has no reproducer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Snippets:
    """The parts of a script that are written in one framework.

    `imports` defines `tensor(array)`, with `{device}` as the framework names it. `gradient` sets `got` to gradient
    `{k}` of `loss_of(y, model(x))`, computed by `{wrapped}`; `update` sets it to weight `{k}` after the optimizer's
    step. `layer_backward` sets `gradient` to that of `{source}`: tensor `{number}` of the inputs, or of the weights
    where `{argument}` is 1.
    """

    imports: str
    full_float32: str
    """Turns off TF32 for float32 products on a GPU, which a cell of exact numerics ran without."""
    gradient: str
    update: str
    layer_backward: str
    forward: str = "lambda x: model(x)"
    step: str = "update"
    """The function of `update` that a mode compiles."""
    compiled: Mapping[str, str] = field(default_factory=dict)
    """Mode -> a function in that mode; a mode that is not listed runs as it is."""
    precision: str = ""
    """Says whether there is float64, with `{doubles}` True or False."""
    on_gpu: str = ""
    """Puts PennyLane's own tensors on the GPU."""
    weights: str = ""
    """What `gradients_of` is given before x and y, with a comma."""


SNIPPETS = {
    "tensorflow": Snippets(
        imports="import tensorflow as tf\n\ntensor = tf.constant",
        full_float32="tf.config.experimental.enable_tensor_float_32_execution(False)\n",
        compiled={"graph": "tf.function({})", "xla": "tf.function({}, jit_compile=True)"},
        gradient="""

def gradients_of(x, y):
    with tf.GradientTape() as tape:
        loss = loss_of(y, model(x, training=True))
    return [tf.convert_to_tensor(g) for g in tape.gradient(loss, model.trainable_weights)]


compute = {wrapped}
got = to_numpy(compute(tensor(x), tensor(y))[{k}])
""",
        update="""

def update():
    optimizer.apply([tensor(g) for g in gradients], variables)


compute = {wrapped}
compute()
got = to_numpy(variables[{k}])
""",
        layer_backward="""
tensors = [tensor(array) for array in inputs]
with tf.GradientTape() as tape:
    tape.watch(tensors)
    total = tf.add_n([tf.reduce_sum(tf.cast(c, o.dtype) * o) for c, o in zip(cotangents, outputs_of(tensors))])
gradient = tf.convert_to_tensor(tape.gradient(total, {source}))
""",
    ),
    "torch": Snippets(
        imports='import torch\n\ntensor = lambda a: torch.tensor(a, device="{device}")',
        full_float32="torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False\n",
        on_gpu='torch.set_default_device("cuda")\n',
        gradient="""

def gradients_of(x, y):
    loss = loss_of(y, model(x, training=True))
    return torch.autograd.grad(loss, [w.value for w in model.trainable_weights])


compute = {wrapped}
got = to_numpy(compute(tensor(x), tensor(y))[{k}])
""",
        update="""with torch.no_grad():
    optimizer.apply([tensor(g) for g in gradients], variables)
got = to_numpy(variables[{k}])
""",
        layer_backward="""
tensors = [tensor(array).requires_grad_(True) for array in inputs]
pairs = zip(cotangents, outputs_of(tensors))
total = sum((torch.as_tensor(c, dtype=o.dtype, device=o.device) * o).sum() for c, o in pairs)
(gradient,) = torch.autograd.grad(total, [{source}])
""",
    ),
    "jax": Snippets(
        imports="import jax\n\ntensor = lambda a: jax.numpy.asarray(a)",
        full_float32='jax.config.update("jax_default_matmul_precision", "highest")\n',
        compiled={"jit": "jax.jit({})"},
        precision='jax.config.update("jax_enable_x64", {doubles})\n',
        forward="lambda x: model.stateless_call([w.value for w in model.trainable_weights], [], x)[0]",
        step="optimizer.stateless_apply",
        weights="[w.value for w in model.trainable_weights], ",
        gradient="""

def gradients_of(trainable, x, y):
    return jax.grad(lambda trainable: loss_of(y, model.stateless_call(trainable, [], x, training=True)[0]))(trainable)


compute = {wrapped}
got = to_numpy(compute([w.value for w in model.trainable_weights], tensor(x), tensor(y))[{k}])
""",
        update="""compute = {wrapped}
state = [v.value for v in optimizer.variables]
got = to_numpy(compute(state, [tensor(g) for g in gradients], [v.value for v in variables])[0][{k}])
""",
        layer_backward="""
tensors = [tensor(array) for array in inputs]
variables = layer.trainable_variables


def total(tensors, weights):
    with keras.StatelessScope(state_mapping=list(zip(variables, weights))):
        return sum((c.astype(o.dtype) * o).sum() for c, o in zip(cotangents, outputs_of(tensors)))


gradients = jax.grad(total, argnums=(0, 1))(tensors, [v.value for v in variables])
gradient = gradients[{argument}][{number}]
""",
    ),
}
"""Keras' name of the backend -> its parts."""
