"""Matching networks with full context embeddings: Vinyals, Blundell, Lillicrap, Kavukcuoglu & Wierstra, NIPS 2016.

A support example is embedded in the light of the whole support set, and a query in the light of what it reads there:

    g(x_i, S) = h_i forwards + h_i backwards + g'(x_i)              (appendix A.2: a bidirectional LSTM)
    h^_k, c_k = LSTM(f'(x), [h_{k-1}, r_{k-1}], c_{k-1})            (eq. 3)
    h_k = h^_k + f'(x)                                              (eq. 4)
    r_k = sum_i softmax_i(h_k . g(x_i)) g(x_i)                      (eq. 5 and 6)
    f(x, S) = h_K,  and then eq. 1 with f and g
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from ..backbones import feature_size
from ..backbones.init import linear_layer
from ..errors import UserError
from ..functional.context import query_context, support_context
from .base import About
from .matching import Matching
from .metric import Embedded


class MatchingFCE(Matching):
    """Matching network with full context embeddings.

    Args:
        similarity: cosine (the paper's), or the negative squared Euclidean distance.
        temperature: what the similarity is multiplied with before the softmax, see matching; 0 takes 10 for the cosine
            and 1 for the distance.
        learn_temperature: whether training changes the temperature.
        reads: K, how often a query reads the support set before it is compared. 0 leaves out both contexts, and is the
            simple matching network.
    """

    about: ClassVar[About] = About(
        title="matching network with full context embeddings",
        source="Vinyals et al., NIPS 2016, section 2.1.2 and appendix A",
        idea="a matching network whose LSTMs embed every example in the light of the whole support set",
        support_order=True,
    )

    def __init__(
        self,
        backbone: nn.Module,
        *,
        input_shape: tuple[int, ...],
        similarity: Literal["cosine", "euclidean"] = "cosine",
        temperature: float = 0.0,
        learn_temperature: bool = True,
        reads: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__(backbone, similarity=similarity, temperature=temperature, learn_temperature=learn_temperature)
        if reads < 0:
            raise UserError(f"reads must be at least 0; got {reads}")
        self.reads = reads
        if reads:
            D = feature_size(backbone, input_shape)
            self.forwards, self.backwards = (linear_layer(2 * D, 4 * D, seed + i) for i in (1, 2))
            self.reader = linear_layer(3 * D, 4 * D, seed + 3)

    def compare(self, support: Embedded, features: Tensor) -> Tensor:
        """c of the embeddings in context, [T, Q, S]."""
        if self.reads:
            forwards, backwards, reader = ((m.weight, m.bias) for m in (self.forwards, self.backwards, self.reader))
            support = Embedded(support_context(support.features, forwards, backwards), support.ys, support.way)
            features = query_context(features, support.features, reader, self.reads)
        return super().compare(support, features)
