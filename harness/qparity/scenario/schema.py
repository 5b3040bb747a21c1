"""The scenario: one fully resolved experiment, as frozen data that refuses what cannot run.

Types are strict ("3" is no integer, nor is true; an integer is a fine float) and every number is finite.
This file is the reference: docs/scenarios.md and the JSON Schema are made from it.
"""

import re
from functools import lru_cache
from json import dumps, loads
from math import isfinite, prod
from typing import Annotated, Any, Literal, Self, TypeVar, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_serializer, model_validator
from pydantic.functional_serializers import SerializerFunctionWrapHandler

from qparity.data import MAX_SAMPLES, OptionError, make
from qparity.oracle.losses import WITH_LAW
from qparity.scenario.errors import ScenarioError
from qparity.scenario.losses import LOSSES
from qparity.scenario.optimizer import Optimizer
from qparity.scenario.registry import CIRCUITS
from qparity.scenario.schedule import checked_schedule
from qparity.scenario.suggest import one_of
from qparity.scenario.variant import Variant

T = TypeVar("T")
Verdict = Literal["ROUNDING", "LOCAL-FAULT", "PRECISION-LEAK", "SETUP-FAULT", "NOT-COMPARED"]
DiffMethod = Literal["backprop", "adjoint", "parameter-shift", "finite-diff", "hadamard", "spsa", "best"]

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
FUNCTION = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"
_MAX_DEPTH = 8
_MAX_WEIGHTS = 10_000_000
# PennyLane's own simulators, of which it is known what they refuse
_SIMULATORS = ("default.", "lightning.", "reference.")


def plain(value: object, key: str = "", depth: int = _MAX_DEPTH) -> object:
    """Check that free-form options are finite data that JSON can hold; ScenarioError otherwise."""
    match value:
        case bool() | str():
            return value
        case int() if abs(value) < 2**63:
            return value
        case float() if isfinite(value):
            return value
        case list() | dict() if depth:
            for name, each in value.items() if isinstance(value, dict) else enumerate(value):
                plain(each, f"{key}.{name}" if key else str(name), depth - 1)
            return value
    expected = "a finite number, 64-bit integer, string, boolean, or a list or table of such"
    raise ScenarioError(expected if depth else f"tables nested at most {_MAX_DEPTH} deep", key=key or None, value=value)


def _keywords(table: dict[str, Any]) -> dict[str, Any]:
    for name, value in table.items():
        if not name.isidentifier():
            raise ScenarioError("the name of a keyword argument", key=name, value=value)
    return table


def _shapes(shapes: dict[str, list[int]]) -> dict[str, list[int]]:
    for name, shape in shapes.items():
        if prod(shape) > _MAX_WEIGHTS:
            raise ScenarioError(f"at most {_MAX_WEIGHTS} weights", key=name, value=shape)
    for name in ("inputs", "wires", "layers"):
        if name in shapes:
            raise ScenarioError(f"another name: {name} is passed by the layer", key=name, value=shapes[name])
    return shapes


def _circuit(circuit: str) -> str:
    if circuit not in CIRCUITS and not re.fullmatch(FUNCTION, circuit):
        raise ScenarioError(f'{one_of("a circuit", circuit, CIRCUITS)}; or your own "module:function"', value=circuit)
    return circuit


def _loss(loss: str) -> str:
    if loss not in LOSSES and not re.fullmatch(FUNCTION, loss):
        raise ScenarioError(f'{one_of("a loss", loss, LOSSES)}; or your own "module:function"', value=loss)
    return loss


def _by_variant(asked: T) -> T:
    """A value for all variants as it is, a table of variants with their canonical names."""
    if not isinstance(asked, dict):
        return asked
    try:
        return cast(T, {str(Variant.parse(name)): value for name, value in asked.items()})
    except ScenarioError as error:
        raise ScenarioError(error.expected, key=str(error.value), value=asked[str(error.value)]) from None


RightBits = Annotated[int, Field(ge=1, le=53)]
Slowdown = Annotated[float, Field(ge=1.0, le=1e6, allow_inf_nan=False)]
Options = Annotated[dict[str, Any], AfterValidator(plain), AfterValidator(_keywords)]
Size = Annotated[int, Field(ge=1, le=_MAX_WEIGHTS)]
Shapes = Annotated[dict[str, list[Size]], Field(min_length=1), AfterValidator(_keywords), AfterValidator(_shapes)]
Function = Annotated[str, Field(pattern=FUNCTION, max_length=200)]
Columns = Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=10_000)]
CAPTURED = "captured"
"""The name of the data that a training script has handed to its `fit`."""
SAMPLE_WEIGHT = "sample_weight"
DATA = ("x", "y", SAMPLE_WEIGHT)
"""The arrays of a data set by their names in a trace; the last, of each sample's weight in the loss, may be missing."""
SCRIPTED = "__main__:fit"
"""The `model` of a training script: what it calls `fit` of."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataSpec(_Strict):
    """The data set; further keys are its own options (see the table of data sets), or those of your function."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(default="fourier", max_length=60, description="A data set.")
    samples: int = Field(
        default=70, ge=1, le=MAX_SAMPLES, description="How many samples; of a file, the first ones (default: all)."
    )
    file: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None, description="Your own data: a .csv, .parquet or .npz file, beside the scenario file."
    )
    source: Function | None = Field(
        default=None, description='Your own data: `"package.module:function"` returns (x, y) for `samples` and `seed`.'
    )
    target: Columns | None = Field(
        default=None, description="Columns of the file's targets; of an .npz, their array (default: `y`)."
    )
    inputs: Columns | None = Field(
        default=None, description="Columns of the file's inputs (default: all others); of an .npz, their array (`x`)."
    )
    weight: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="Column of the file (.npz: array) with the samples' weights in the loss; of a script filled in.",
    )
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="Of the numbers read from the file, or captured from a script; filled in."
    )

    @property
    def options(self) -> dict[str, Any]:
        """The data set's own options."""
        return dict(self.model_extra or {})

    @property
    def shipped(self) -> bool:
        """Whether it is a data set by name: all others are somebody's own."""
        return not (self.file or self.source or self.name == CAPTURED)

    @model_serializer(mode="wrap")
    def _without_none(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in write(self).items() if value is not None}

    @model_validator(mode="after")
    def _options_exist(self) -> Self:
        plain(self.options)
        if self.file and self.source:
            raise ScenarioError("no source beside file", key="source", value=self.source)
        if (self.file or self.source) and "name" in self.model_fields_set and self.name != "fourier":
            key = "file" if self.file else "source"
            raise ScenarioError(f"no name beside {key}", key="name", value=self.name)
        if self.file:
            for key, value in self.options.items():
                raise ScenarioError("target, inputs, weight or samples beside file", key=key, value=value)
            return self
        for key in ("target", "inputs", "weight"):
            if getattr(self, key) is not None and not (key == "weight" and self.name == CAPTURED):
                raise ScenarioError(f"no {key} without file", key=key, value=getattr(self, key))
        if not self.shipped:
            return self
        try:
            _try_data_set(self.name, dumps(self.options))
        except OptionError as error:
            raise ScenarioError(error.expected, key=error.option, value=error.value) from None
        return self


@lru_cache(maxsize=1024)
def _try_data_set(name: str, options: str) -> None:
    make(name, 1, 0, loads(options))


class Training(_Strict):
    """How the model is trained."""

    batch_size: int = Field(
        default=32, ge=1, le=MAX_SAMPLES, description="Samples a step; the last batch may be smaller."
    )
    epochs: int = Field(default=30, ge=1, le=1_000_000, description="Passes over the data.")
    loss: Annotated[str, Field(max_length=200), AfterValidator(_loss)] = Field(
        default="mse",
        description='One of Keras\' losses; `energy`, the mean output itself; or your own `"package.module:function"`.',
    )
    loss_options: Options | None = Field(default=None, description="Options of the loss, such as `from_logits`.")
    numerics: Literal["exact", "stock"] = Field(
        default="exact",
        description="`exact`: everything in the declared dtype. `stock`: what a plain `model.fit` computes.",
    )
    shuffle: bool = Field(default=False, description="A new seeded order each epoch.")
    draws: Literal["shared", "backend"] = Field(
        default="shared",
        description="Random numbers of layers (dropout, noise): the same on every backend, or each backend's own.",
    )
    optimizer: Optimizer = Field(default=Optimizer(), description="Optimizer table.")
    schedule: Annotated[dict[str, Any], AfterValidator(plain), AfterValidator(checked_schedule)] | None = Field(
        default=None,
        description="Of the learning rate: `name`, such as `exponential_decay`, and arguments of Keras' schedule.",
    )

    @model_validator(mode="after")
    def _options_of_the_loss(self) -> Self:
        if self.loss not in LOSSES:
            return self
        known = LOSSES[self.loss].options
        for key, value in (self.loss_options or {}).items():
            if key not in known:
                words = one_of(f"an option of {self.loss}", key, known) if known else f"no option with {self.loss}"
                raise ScenarioError(words, key=f"loss_options.{key}", value=value)
            if isinstance(known[key], bool) != isinstance(value, bool) or not isinstance(value, int | float):
                kind = "true or false" if isinstance(known[key], bool) else "a number"
                raise ScenarioError(kind, key=f"loss_options.{key}", value=value)
        return self


class ScriptSpec(_Strict):
    """A training script that is run up to its `fit`; `qparity run FILE.py` writes this, nobody else."""

    file: str = Field(min_length=1, max_length=500, description="The script, beside which it runs.")
    arguments: list[Annotated[str, Field(max_length=2000)]] = Field(
        default=[], max_length=200, description="Its command line."
    )
    fit: int = Field(default=1, ge=1, le=1000, description="Which `fit` of it is taken.")
    own: list[Literal["loss", "optimizer"]] = Field(
        default=[], max_length=2, description="What it compiles with that no scenario can say."
    )
    given: Options = Field(default={}, description="How much its `fit` trains; the same on every backend.")
    notes: list[Annotated[str, Field(max_length=300)]] = Field(
        default=[], max_length=20, description="What of its `fit` is left out."
    )
    recorded: Literal[True] | None = Field(
        default=None, description="By `qparity.Recorder`, where it was trained: `file` is not run again."
    )


_OF_DEVICE = frozenset({"name", "wires", "shots", "seed"})
_OF_QNODE = frozenset({"func", "device", "interface", "diff_method", "gradient_kwargs", "shots"})
ABOUT = frozenset({"name", "expect", "min_bits", "max_slowdown"})
"""Keys of a scenario that change nothing of what is trained: what it is called, and what is asked of the outcome."""
WAYS = frozenset({"device", "device_options", "diff_method", "diff_options"})
"""Keys that say how a circuit is run and differentiated, which changes nothing of what it should give."""


class Scenario(_Strict):
    """One experiment. A cell is a scenario on one variant."""

    name: str = Field(pattern=NAME, max_length=120, description="Unique; files generate it.")
    circuit: Annotated[str, Field(max_length=200), AfterValidator(_circuit)] = Field(
        default="data_reuploading", description='A shipped circuit, or your own `"package.module:function"`.'
    )
    circuit_options: Options = Field(
        default={}, description="Further keyword arguments of the quantum function, or of the model's `build`."
    )
    weight_shapes: Shapes | None = Field(
        default=None, description="Weight shapes of your own function; a shipped circuit knows its own."
    )
    model: Function | None = Field(
        default=None,
        description='`"package.module:build"` returns a whole Keras model; `circuit` is then ignored.',
    )
    script: ScriptSpec | None = Field(
        default=None, description="The training script that was taken; `qparity run FILE.py` fills it in."
    )
    wires: int = Field(default=1, ge=1, le=30, description="Qubits.")
    layers: int = Field(default=1, ge=1, le=1000, description="Layers of the circuit.")
    device: str = Field(default="default.qubit", pattern=NAME, max_length=60, description="A PennyLane device.")
    diff_method: DiffMethod = Field(default="best", description="How PennyLane differentiates.")
    diff_options: Options = Field(default={}, description="Gradient keyword arguments of the QNode, such as `h`.")
    device_options: Options | None = Field(
        default=None, description="Further arguments of `qml.device`, such as `c_dtype` or `batch_obs`."
    )
    qnode_options: Options | None = Field(
        default=None, description="Further arguments of the QNode, such as `max_diff` or `mcm_method`."
    )
    shots: int | None = Field(
        default=None, ge=1, le=10_000_000, description="Samples of a measurement; none is analytic."
    )
    dtype: Literal["float64", "float32"] = Field(default="float64", description="The declared precision.")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Of data, weights, data order and device.")
    data: DataSpec = Field(default_factory=DataSpec, description="Data table.")
    training: Training = Field(default_factory=Training, description="Training table.")
    judge: list[Literal["hessian", "methods"]] | None = Field(
        default=None,
        max_length=2,
        description="What is judged besides: `hessian`, second derivatives of the loss at some steps; `methods`, "
        "scenarios that differ in device and differentiation method alone, beside each other.",
    )
    expect: Annotated[Verdict | dict[str, Verdict], AfterValidator(_by_variant)] = Field(
        default="ROUNDING",
        description="The expected verdict, or a table variant -> verdict (others: ROUNDING).",
    )
    min_bits: Annotated[RightBits | dict[str, RightBits] | None, AfterValidator(_by_variant)] = Field(
        default=None,
        description="Leading bits of predictions, loss and gradients that must be right, or a table variant -> it.",
    )
    max_slowdown: Annotated[Slowdown | dict[str, Slowdown] | None, AfterValidator(_by_variant)] = Field(
        default=None,
        description="The largest step time that passes `check`, in times of the reference's, or a table variant -> it.",
    )

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.training.epochs * -(-self.data.samples // self.training.batch_size)

    @property
    def source(self) -> str:
        """The `module:function` that is under test, or the script."""
        return self.script.file if self.script else self.model or CIRCUITS.get(self.circuit, self.circuit)

    @property
    def own_loss(self) -> str | None:
        """The `module:function` of a loss of the user's own."""
        return None if self.training.loss in LOSSES else self.training.loss

    @property
    def recorded_at_layers(self) -> bool:
        """Whether the boundary of each quantum layer is recorded: where the derivative of the loss is not known."""
        return bool(self.model) or self.training.loss not in WITH_LAW

    @property
    def judged_by_methods(self) -> bool:
        """Whether it is compared with what differs from it in `WAYS` alone."""
        return "methods" in (self.judge or ())

    def asked_of(self, asked: dict[str, T] | T | None, variant: str) -> T | None:
        """What `min_bits` or `max_slowdown` asks of a variant; None for nothing."""
        return asked.get(variant) if isinstance(asked, dict) else asked

    def expected_verdict(self, variant: Variant) -> str:
        """The verdict expected of a variant."""
        return self.expect if isinstance(self.expect, str) else self.expect.get(str(variant), "ROUNDING")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        asked, most = self.min_bits, 53 if self.dtype == "float64" else 24
        largest = max(asked.values(), default=0) if isinstance(asked, dict) else asked or 0
        if largest > most:
            raise ScenarioError(f"at most {most}, which is what {self.dtype} has", key="min_bits", value=asked)
        if bool(self.script) != (self.data.name == CAPTURED) or (self.script and self.model != SCRIPTED):
            raise ScenarioError(
                "a script and the data captured from it together: run the script itself, qparity run FILE.py",
                key="script" if self.script else "data.name",
                value=self.script.file if self.script else self.data.name,
            )
        for key in ("model", "shots") if self.judged_by_methods else ():
            if value := getattr(self, key):
                why = "makes its own layers" if key == "model" else "gives every method its own samples"
                raise ScenarioError(f'none beside judge = ["methods"]: it {why}', key=key, value=value)
        if self.judged_by_methods and self.diff_method == "spsa":
            raise ScenarioError(
                'another one beside judge = ["methods"]: it draws its gradient at random',
                key="diff_method",
                value=self.diff_method,
            )
        if self.device.startswith("lightning.") and self.diff_method == "backprop":
            raise ScenarioError(
                f"adjoint, parameter-shift or best: {self.device} has no backprop",
                key="diff_method",
                value=self.diff_method,
            )
        if self.shots and self.diff_method in ("backprop", "adjoint") and self.device.startswith(_SIMULATORS):
            raise ScenarioError(
                f"no shots, since {self.diff_method} on {self.device} is analytic",
                key="shots",
                value=self.shots,
            )
        for table, taken in (("device_options", _OF_DEVICE), ("qnode_options", _OF_QNODE)):
            for key in sorted(taken & set(getattr(self, table) or ())):
                raise ScenarioError(
                    f"another name: {key} has a key of its own or is passed already",
                    key=f"{table}.{key}",
                    value=getattr(self, table)[key],
                )
            if getattr(self, table) and self.model:
                raise ScenarioError(
                    "no such table beside model, which makes its own layers", key=table, value=getattr(self, table)
                )
        if self.weight_shapes and self.model:
            raise ScenarioError(
                "no such table beside model, which builds its own", key="weight_shapes", value=self.weight_shapes
            )
        if self.weight_shapes and self.circuit in CIRCUITS:
            raise ScenarioError(
                f"none, since {self.circuit} knows its own", key="weight_shapes", value=self.weight_shapes
            )
        for key in self.circuit_options:
            if key in ("inputs", "wires", "layers", *(self.weight_shapes or ())):
                raise ScenarioError(
                    f"another name: {key} is passed already",
                    key=f"circuit_options.{key}",
                    value=self.circuit_options[key],
                )
        return self
