"""Real or generated: a classifier of N classes and one more for what was made up.

The form of Salimans et al. 2016 and of MetaGAN (Zhang et al., NeurIPS 2018). With p the softmax of N + 1 logits, x real
with class y, and G generated, what is minimised is

    discriminator:  -log p(y | x) - log p(N + 1 | G)
    generator:      -log p(y <= N | G)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def with_generated_class(logits: Tensor, realness: Tensor) -> Tensor:
    """The N + 1 logits with p(y <= N) = sigmoid(realness) and p(y = n | y <= N) = softmax_n(logits).

    Any N + 1 logits can be written so: realness is logsumexp_n(l_n) - l_{N+1}.

    Args:
        logits: of the N classes, [..., N].
        realness: [...].

    Returns:
        [..., N + 1].
    """
    return torch.cat([logits, logits.logsumexp(-1, keepdim=True) - realness[..., None]], -1)


def discriminator_loss(real: Tensor, labels: Tensor, generated: Tensor) -> Tensor:
    """-log p(y | x) - log p(N + 1 | G), each in the mean.

    Args:
        real: logits of real examples, [..., N + 1].
        labels: their classes 0..N-1, [...].
        generated: logits of generated examples, [..., N + 1].
    """
    made_up = generated.log_softmax(-1)[..., -1]
    return F.cross_entropy(real.flatten(0, -2), labels.flatten()) - made_up.mean()


def generator_loss(generated: Tensor) -> Tensor:
    """-log p(y <= N | G) in the mean, of logits [..., N + 1]; not log p(N + 1 | G), whose gradient is nearly zero where
    the generator is found out."""
    return -generated.log_softmax(-1)[..., :-1].logsumexp(-1).mean()
