"""The arguments of a training, checked once at the door."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, get_type_hints

from ..errors import UserError, unknown
from .optimisers import OPTIMIZERS
from .schedules import Factor, build_schedule

# What may differ between a run and its resumption: none of these changes the weights.
PRECISIONS = ("float32", "bfloat16")
LEAST_BETWEEN = 100  # steps between two validations, each of which costs as much as many steps
FREE = ("checkpoint_every", "max_minutes", "device")


@dataclass(frozen=True)
class Settings:
    """How to train; every field is an argument of `train`, where it is explained."""

    steps: int
    tasks: int = 32
    optimizer: str = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    schedule: str = "constant"
    decay_every: int | None = None
    decay_factor: float = 0.5
    warmup: int = 0
    clip_norm: float | None = None
    clip_value: float | None = None
    val_every: int | None = None
    val_tasks: int = 200
    val_transductive: bool = False
    patience: int | None = None
    log_every: int = 25
    checkpoint_every: int | None = None
    max_minutes: float | None = None
    precision: str = "float32"
    compile: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if isinstance(value, int) and not isinstance(value, bool) and hints[name] in (float, float | None):
                object.__setattr__(self, name, float(value))
            elif not isinstance(value, hints[name]) or (isinstance(value, bool) and hints[name] is not bool):
                kind = getattr(hints[name], "__name__", str(hints[name]))
                raise UserError(f"{name} must be of type {kind}; got {value!r}")
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)
        whole = ("steps", "tasks", "decay_every", "val_every", "val_tasks", "patience", "log_every", "checkpoint_every")
        for name in whole:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be at least 1; got {value}")
        for name in ("lr", "decay_factor", "clip_norm", "clip_value", "max_minutes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"{name} must be greater than 0; got {value}")
        for name in ("weight_decay", "momentum"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} must be at least 0; got {getattr(self, name)}")
        if self.momentum and self.optimizer != "sgd":
            raise UserError(f"{self.optimizer} has no momentum to set; got {self.momentum}. Use optimizer sgd")
        self.build_schedule()

    def build_schedule(self) -> Factor:
        """The factor of the learning rate at every step."""
        return build_schedule(
            self.schedule,
            self.steps,
            warmup=self.warmup,
            decay_every=self.decay_every,
            decay_factor=self.decay_factor,
        )

    @property
    def validate_every(self) -> int:
        """Steps between validations, unless given a twentieth of the training and at least LEAST_BETWEEN."""
        return self.val_every or max(LEAST_BETWEEN, self.steps // 20)

    def with_compile(self, on: bool) -> Settings:
        """The same, with or without compiling."""
        return replace(self, compile=on)

    def to_dict(self) -> dict[str, Any]:
        """As config.yaml holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Settings:
        """From config.yaml; unknown names are refused."""
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                raise unknown("training option", name, known)
        if "steps" not in values:
            raise UserError("a training needs its number of steps: training: {steps: ...}")
        return cls(**values)
