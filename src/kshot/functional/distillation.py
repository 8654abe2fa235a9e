"""Learning from another classifier's opinion."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def softened_kl(teacher: Tensor, student: Tensor, tau: float) -> Tensor:
    """tau^2 KL(softmax(teacher / tau) || softmax(student / tau)) of logits [B, C], mean over the batch (scalar)."""
    p, q = ((logits / tau).log_softmax(-1) for logits in (teacher, student))
    return tau**2 * F.kl_div(q, p, log_target=True, reduction="batchmean")
