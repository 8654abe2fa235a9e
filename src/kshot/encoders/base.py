"""An encoder: examples to vectors, each computed once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.images import Images
from ..data.problems import Problems
from ..data.progress import track
from ..errors import UserError
from .inputs import Example, array_examples, examples_of, sentence_examples
from .store import FeatureStore

if TYPE_CHECKING:
    from ..data.sentences import Sentences

Kind = Literal["pictures", "sentences"]
FORMAT = 1  # of the features: raised when the same encoder begins to give others
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Encoder:
    """A frozen encoder.

    Args:
        name: as the user called it.
        kind: what it encodes.
        network: prepared examples to vectors [B, D].
        prepare: one example - a picture in mode RGB, a sentence - to what the network takes.
        identity: all that decides about a feature beside the example: weights, architecture, preprocessing, versions.
        size: the side at which a data set of pictures is best read; None for sentences.
        batch: how many examples are computed at once.

    Attributes:
        unit: whether features are scaled to unit length before a method sees them.
        origin: name, options and device with which `open_encoder` opens it again; None if it cannot.
        key: a name for the identity: equal keys give equal features.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        network: Callable[[list[Any]], Tensor],
        prepare: Callable[[Any], Any],
        identity: Mapping[str, Any],
        *,
        size: int | None = None,
        batch: int = 32,
    ) -> None:
        self.name, self.kind, self.network, self.prepare = name, kind, network, prepare
        self.size, self.batch = size, batch
        self.unit = True
        self.origin: tuple[str, dict[str, Any], str] | None = None
        whole = json.dumps({"format": FORMAT, **identity}, sort_keys=True, default=str)
        self.key = hashlib.sha256(whole.encode()).hexdigest()[:24]

    def described(self) -> dict[str, Any]:
        """What a record says of it: equal keys are equal encoders."""
        return {"name": self.name, "options": self.origin[1] if self.origin else {}, "key": self.key}

    @property
    def dim(self) -> int:
        """D: how many numbers a feature has."""
        blank = array_examples(np.zeros((1, 3, 8, 8), np.uint8))
        return self.features(blank if self.kind == "pictures" else sentence_examples(["."]))[0].shape[1]

    def encode(self, X: Any) -> Tensor:
        """The features of pictures (paths, PIL pictures, arrays) or of sentences: float32 [M, D]."""
        return self.features(examples_of(X, self.kind, self.name))[0]

    def encode_data(self, data: Any) -> Images:
        """A data set whose pictures or sentences have become features."""
        from ..data.sentences import Sentences

        wanted = Sentences if self.kind == "sentences" else Images
        if not isinstance(data, wanted) or (isinstance(data, Images) and data.pixels.ndim != 4):
            what = "sentences" if isinstance(data, Sentences) else getattr(data, "name", "this data set")
            raise UserError(
                f"{self.name} encodes {self.kind} that lie in memory, and these data are others ({what}): use "
                + ("a table of sentences (.csv)" if self.kind == "sentences" else "pictures, such as a folder of them")
            )
        return self._sentences(data) if isinstance(data, Sentences) else self._pictures(data)

    def _pictures(self, images: Images) -> Images:
        features, _ = self.features(array_examples(images.pixels.cpu().numpy()))
        shape = "x".join(map(str, images.pixels.shape[:-3:-1]))
        note = f"{images.split_note}; pictures of {shape} px as features of {self.name}"
        return replace(images, pixels=features.to(images.pixels.device), split_note=note)

    def _sentences(self, data: Sentences) -> Images:
        features, _ = self.features(examples_of(list(data.texts), self.kind, self.name))
        note = f"{data.split_note}; as features of {self.name}"
        return Images(features, data.offsets, data.names, data.groups, data.name, data.split, note, data.skipped)

    def features(
        self, examples: Sequence[Callable[[], Example]], problems: Problems | None = None
    ) -> tuple[Tensor, list[int]]:
        """The features of examples, float32 [n, D], and the numbers of the n examples that could be used.

        Args:
            examples: read one by one.
            problems: takes what cannot be used: `Problems(skip=True)` to leave it out; by default an error.
        """
        store, waiting = FeatureStore(self.key), dict[bytes, Any]()
        digests, kept = list[bytes](), list[int]()
        try:
            for i, read in enumerate(track(examples, f"computing features of {self.name}")):
                example = read()
                if example.digest not in waiting and store.get(example.digest) is None:
                    try:
                        waiting[example.digest] = self.prepare(example.load())
                    except UserError as e:
                        if problems is None:
                            raise
                        problems.add(str(e))
                        continue
                digests.append(example.digest)
                kept.append(i)
                if len(waiting) >= self.batch:
                    self._compute(waiting, store)
            self._compute(waiting, store)
        finally:
            store.flush()
        if not digests:
            raise UserError(f"there is nothing to encode: give at least one of the {self.kind}")
        found = torch.from_numpy(np.stack([store[d] for d in digests]))  # [n, D]
        return (F.normalize(found, dim=-1) if self.unit else found), kept

    def _compute(self, waiting: dict[bytes, Any], store: FeatureStore) -> None:
        """The features of those that wait; none waits afterwards."""
        if not waiting:
            return
        with torch.no_grad():
            vectors = self.network(list(waiting.values()))
        if vectors.ndim != 2 or len(vectors) != len(waiting):
            raise UserError(
                f"{self.name} must give a vector [D] for each of {len(waiting)} {self.kind}; it gave "
                f"{list(vectors.shape)}: use a network without a head for other purposes"
            )
        vectors = vectors.float().cpu()
        if not bool(vectors.isfinite().all()):
            raise UserError(f"{self.name} gave numbers that are infinite or NaN: its weights cannot be used")
        for digest, vector in zip(waiting, vectors.numpy()):
            store.add(digest, vector)
        waiting.clear()

    def __deepcopy__(self, memo: dict[int, Any]) -> Encoder:
        return self  # it never changes

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Small, if it can be opened again: by its name; else with its network."""
        return super().__reduce_ex__(protocol) if self.origin is None else (_again, (*self.origin, self.key))


def _again(name: str, options: dict[str, Any], device: str, key: str) -> Encoder:
    """An encoder that was pickled."""
    from . import open_encoder

    encoder = open_encoder(name, device=device, **options)
    if encoder.key != key:
        raise UserError(
            f"{name} is no longer what it was when this was pickled (other weights or another version): fit again"
        )
    return encoder


def module_encoder(
    module: nn.Module,
    prepare: Callable[[Any], Tensor],
    *,
    name: str,
    size: int,
    identity: Mapping[str, Any] | None = None,
    device: torch.device | str = "cpu",
    batch: int = 32,
) -> Encoder:
    """An encoder of pictures from a module of torch.

    Args:
        module: from pictures [B, C, H, W] to vectors [B, D]; it is put into evaluation mode.
        prepare: from a PIL picture in mode RGB to what the module takes, [C, H, W].
        name: for messages.
        size: the side at which a data set of pictures is best read.
        identity: what else decides about a feature: preprocessing, versions.
    """
    module = module.to(device).eval().requires_grad_(False)
    known = {"module": ADDRESS.sub("", repr(module)), "weights": weights_digest(module), **(identity or {})}
    return Encoder(name, "pictures", _Stacked(module, device), prepare, known, size=size, batch=batch)


class _Stacked:
    """A module called with a list of inputs."""

    def __init__(self, module: nn.Module, device: torch.device | str) -> None:
        self.module, self.device = module, device

    def __call__(self, batch: list[Tensor]) -> Tensor:
        return self.module(torch.stack(batch).to(self.device))


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of all weights and buffers with their names, types and shapes."""
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        total.update(memoryview(flat.view(torch.uint8).numpy()))
    return total.hexdigest()
