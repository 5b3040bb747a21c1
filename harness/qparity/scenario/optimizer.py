"""The optimizer table of a scenario: keys, ranges and defaults are those of the laws in `qparity.oracle.optimizers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, create_model, model_serializer, model_validator
from pydantic.functional_serializers import SerializerFunctionWrapHandler

from qparity.oracle.optimizers import CLIPS, LAWS, Argument
from qparity.scenario.errors import ScenarioError

RATE = "learning_rate"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str = "adam"
    learning_rate: float = 0.03

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the Keras optimizer of that name."""
        return {key: value for key, value in self if key != "name" and value is not None}

    @model_serializer(mode="wrap")
    def _without_none(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in write(self).items() if value is not None}

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, raw: Any) -> Any:
        law = LAWS.get(str(raw.get("name", "adam"))) if isinstance(raw, dict) else None
        own = {**law.arguments, **law.shared} if law else {}
        filled = {key: a.default for key, a in own.items() if a.default is not None and raw.get(key) is None}
        return {**raw, **filled} if filled else raw

    @model_validator(mode="after")
    def _belongs(self) -> Self:
        own = LAWS[self.name].all_arguments()
        for key, value in self:
            if value is not None and key != "name" and key not in own:
                owners = " and ".join(name for name, law in LAWS.items() if key in law.all_arguments())
                raise ScenarioError(f"no {key} with {self.name}: it belongs to {owners}", key=key, value=value)
        if self.arguments.get("ema_momentum") is not None and not self.arguments.get("ema_overwrite_frequency"):
            raise ScenarioError(
                "expected ema_overwrite_frequency beside it: averages that never take the weights' place train nothing",
                key="ema_momentum",
                value=self.arguments["ema_momentum"],
            )
        clips = [key for key in CLIPS if getattr(self, key) is not None]
        if len(clips) > 1:
            raise ScenarioError(
                f"no {clips[0]} beside it: Keras takes one", key=clips[1], value=getattr(self, clips[1])
            )
        return self


def owners_of(name: str) -> dict[str, Argument]:
    """The optimizers that have an argument, and what it is there."""
    return {law.name: law.all_arguments()[name] for law in LAWS.values() if name in law.all_arguments()}


def _field(name: str) -> tuple[Any, Any]:
    """The type of an argument and its pydantic field, for all optimizers that have it."""
    owners = owners_of(name)
    first = next(iter(owners.values()))
    about: dict[str, Any] = {"default": 0.03 if name == RATE else None, "description": _words(owners)}
    if isinstance(first.default, bool):
        return bool | None, Field(**about)
    limits = {"gt" if first.open_least else "ge": first.least, "lt" if first.open_most else "le": first.most}
    about |= {key: value for key, value in limits.items() if value is not None}
    if name == RATE:
        return float, Field(**about)
    whole = first.whole or isinstance(first.default, int)
    return int | None if whole else float | None, Field(**about)


def _words(owners: dict[str, Argument]) -> str:
    """What it is, and for which optimizers if not for all."""
    texts = {a.text: [name for name, b in owners.items() if b.text == a.text] for a in owners.values()}
    if len(owners) == len(LAWS) and len(texts) == 1:
        return f"{next(iter(texts)).capitalize()}."
    return "; ".join(f"{', '.join(who)}: {text}" for text, who in texts.items()) + "."


if TYPE_CHECKING:
    Optimizer = _Table
else:
    _NAMES = dict.fromkeys(key for law in LAWS.values() for key in law.all_arguments())
    Optimizer = create_model(
        "Optimizer",
        __base__=_Table,
        __doc__="The optimizer and its hyper-parameters; what an optimizer does not have stays none.",
        name=(Literal[tuple(LAWS)], Field(default="adam", description="The Keras optimizer.")),
        **{key: _field(key) for key in _NAMES},
    )
