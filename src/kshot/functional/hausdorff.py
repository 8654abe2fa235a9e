"""Modified Hausdorff distance between drawings (Dubuisson & Jain 1994), the baseline of Lake et al. 2015."""

from __future__ import annotations

import torch
from torch import Tensor


def ink_points(image: Tensor, threshold: float = 0.5) -> Tensor:
    """Coordinates of the ink, relative to its mean: float32 [P, 2] of an image [H, W] in 0..1 (ink is 1).

    A blank image gives one point at the origin.
    """
    points = (image > threshold).nonzero().to(torch.float32)
    if len(points) == 0:
        return torch.zeros(1, 2, device=image.device)
    return points - points.mean(0)


def modified_hausdorff(a: Tensor, b: Tensor) -> Tensor:
    """max(mean_a min_b |a - b|, mean_b min_a |a - b|) of two point sets [A, 2] and [B, 2]: a scalar."""
    distance = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.maximum(distance.amin(1).mean(), distance.amin(0).mean())
