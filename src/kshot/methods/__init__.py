"""The systems of the field, one a file, under one contract (see base.Method)."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from ..backbones import build_backbone
from ..errors import UserError, unknown
from ..tasks.source import TaskSpec
from .anil import ANIL
from .attention import Attention
from .base import About, Method
from .boil import BOIL
from .cavia import CAVIA
from .cnp import CNP
from .distilled import Distilled
from .embedding import Embedding
from .fomaml import FOMAML
from .hallucinate import Hallucinate
from .imaml import IMAML
from .lstm_meta_learner import LSTMMetaLearner
from .maml import MAML
from .mamlpp import MAMLpp
from .mann import MANN
from .matching import Matching
from .matching_fce import MatchingFCE
from .metanet import MetaNet
from .metasgd import MetaSGD
from .nearest import Hausdorff, Nearest
from .pretrained import Pretrained
from .protomaml import ProtoMAML
from .protonet import ProtoNet
from .protonet_zero import ProtoNetZero
from .r2d2 import R2D2
from .relation import Relation
from .reptile import Reptile
from .siamese import Siamese

METHODS: dict[str, type[Method]] = {
    "nearest": Nearest,
    "hausdorff": Hausdorff,
    "pretrained": Pretrained,
    "protonet": ProtoNet,
    "matching": Matching,
    "maml": MAML,
    "fomaml": FOMAML,
    "reptile": Reptile,
    "siamese": Siamese,
    "matching-fce": MatchingFCE,
    "relation": Relation,
    "protonet-zero": ProtoNetZero,
    "mann": MANN,
    "metanet": MetaNet,
    "lstm-meta-learner": LSTMMetaLearner,
    "anil": ANIL,
    "boil": BOIL,
    "metasgd": MetaSGD,
    "mamlpp": MAMLpp,
    "imaml": IMAML,
    "protomaml": ProtoMAML,
    "r2d2": R2D2,
    "cavia": CAVIA,
    "embedding": Embedding,
    "distilled": Distilled,
    "hallucinate": Hallucinate,
    "cnp": CNP,
    "attention": Attention,
}

__all__ = [
    "ANIL",
    "BOIL",
    "CAVIA",
    "CNP",
    "FOMAML",
    "IMAML",
    "MAML",
    "MANN",
    "METHODS",
    "R2D2",
    "About",
    "Attention",
    "Distilled",
    "Embedding",
    "Hallucinate",
    "Hausdorff",
    "LSTMMetaLearner",
    "MAMLpp",
    "Matching",
    "MatchingFCE",
    "MetaNet",
    "MetaSGD",
    "Method",
    "Nearest",
    "Pretrained",
    "ProtoMAML",
    "ProtoNet",
    "ProtoNetZero",
    "Relation",
    "Reptile",
    "Siamese",
    "build_method",
    "feature_method",
    "method_class",
    "method_options",
]

FROM_THE_TASKS = ("input_shape", "way", "num_classes", "output_dim", "attributes")
NOT_OPTIONS = ("self", "backbone", "seed", *FROM_THE_TASKS)
WAY_OUT = {
    "examples": "use --shot 0, and data that describes its classes (glyphs:names, or --attributes FILE)",
    "descriptions": "use --shot 1 or more, or the method protonet-zero",
}


def method_class(name: str) -> type[Method]:
    """The method of that registry name."""
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]


def method_options(name: str) -> dict[str, inspect.Parameter]:
    """The constructor arguments of a method that its user chooses (typed, with defaults)."""
    signature = inspect.signature(method_class(name).__init__, eval_str=True)
    return {k: p for k, p in signature.parameters.items() if k not in NOT_OPTIONS}


def build_method(
    name: str,
    spec: TaskSpec,
    *,
    backbone: str | nn.Module | None = None,
    backbone_options: dict[str, object] | None = None,
    seed: int = 0,
    **options: object,
) -> Method:
    """A method ready for the tasks of a source.

    Args:
        name: registry name.
        spec: `source.spec`: shapes and counts that the constructor may need.
        backbone: a module, or the name of one (default: the method's; an MLP where inputs are not pictures).
        backbone_options: arguments of a backbone given by name.
        seed: of the initial weights.
        options: the method's own arguments.
    """
    make = method_class(name)
    kinds = make.about.targets
    if ("regression" if spec.regression else "classes") not in kinds:
        raise UserError(
            f"{name} learns {' and '.join(kinds)}, and these tasks are {'regression' if spec.regression else 'classes'}"
        )
    if make.about.support != spec.support:
        raise UserError(
            f"{name} learns from {make.about.support}, and the support sets of these tasks hold {spec.support}: "
            + WAY_OUT[spec.support]
        )
    known = method_options(name)
    for option in options:
        if option not in known:
            raise unknown(f"option of {name}", option, known)
    parameters = inspect.signature(make.__init__).parameters
    given: dict[str, object] = {k: getattr(spec, k) for k in FROM_THE_TASKS if k in parameters}
    if "seed" in parameters:
        given["seed"] = seed
    if "backbone" not in parameters:
        if backbone is not None:
            raise UserError(f"{name} has no backbone; leave out --backbone {backbone}")
        if backbone_options:
            raise UserError(
                f"{name} has no backbone to which {', '.join(backbone_options)} could belong; its own options are "
                f"{', '.join(known)} (see kshot train {name} --help)"
            )
        return make(**given, **options)
    if backbone is None:
        backbone = default_backbone(name, spec)
    if isinstance(backbone, str):
        backbone = build_backbone(backbone, spec.input_shape, seed=seed, **(backbone_options or {}))
    return make(backbone, **given, **options)


def feature_method(name: str, size: int, **options: Any) -> Method:
    """A method that learns from features [T, S, D] of a frozen encoder, without any training.

    Args:
        name: registry name of a method whose `about.on_features` is set.
        size: D.
        options: the method's own arguments.
    """
    make = method_class(name)
    if not make.about.on_features:
        able = ", ".join(n for n, m in METHODS.items() if m.about.on_features)
        raise UserError(
            f"{name} has to be trained together with its encoder; methods that learn from the features of a frozen "
            f"encoder without any training are {able}"
        )
    if options.get("centre"):
        raise UserError("centre subtracts the mean feature of training classes, and a frozen encoder has none")
    if name == "protonet":
        options = {"scale": 10.0, **options}  # features have unit length, and their squared distances are 4 at most
    spec = TaskSpec((size,), way=2, num_classes=1)
    own = None if "backbone" not in inspect.signature(make.__init__).parameters else nn.Identity()
    return build_method(name, spec, backbone=own, **options).eval()


def default_backbone(name: str, spec: TaskSpec) -> str | None:
    """The backbone that a method takes when none is named; None if it has none."""
    chosen = getattr(method_class(name), "default_backbone", None)
    return "mlp" if chosen is not None and len(spec.input_shape) != 3 else chosen
