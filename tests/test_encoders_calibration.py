"""Probabilities of methods on frozen features: their temperature is fitted to the examples themselves."""

from __future__ import annotations

import pytest
import torch

from kshot.evaluation.frozen import aside, own_temperature
from kshot.evaluation.prediction import probabilities
from kshot.methods import feature_method


@pytest.mark.parametrize("name", ["protonet", "r2d2", "embedding", "matching"])
def test_probabilities_are_calibrated_on_the_examples_themselves(name: str) -> None:
    """Overlapping classes, ten examples each: stated certainty and truth agree on thousands of new points."""
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(4, 16, generator=generator)

    def points(each: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.arange(4).repeat_interleave(each)
        return torch.nn.functional.normalize(centres[y] + 1.5 * torch.randn(len(y), 16, generator=generator), dim=-1), y

    (xs, ys), (xq, yq) = points(10), points(500)
    method = feature_method(name, 16)

    def error(temperature: float) -> float:
        p = probabilities(method, xs, ys, xq, temperature=temperature)
        return abs(float(p.amax(-1).mean() - (p.argmax(-1) == yq).float().mean()))

    fitted = own_temperature(method, xs, ys)
    assert error(fitted) < 0.06
    assert error(fitted) < max(error(fitted * 3), error(fitted / 3)) / 2


def test_a_single_example_of_each_class_leaves_the_temperature() -> None:
    method = feature_method("protonet", 4)
    assert own_temperature(method, torch.eye(4), torch.arange(4)) == 1
    few = own_temperature(method, torch.eye(4)[[0, 0, 1, 1, 2]], torch.tensor([0, 0, 1, 1, 2]))
    p = probabilities(method, torch.eye(4)[:2], torch.arange(2), torch.eye(4)[:1], temperature=few)
    assert 0.5 < float(p[0, 0]) < 0.99  # clear, but few


def test_in_each_round_one_example_of_every_class_is_set_aside() -> None:
    held = aside(torch.tensor([2, 0, 2, 1, 0, 2]), 3)  # class 1 has a single example
    assert held.int().tolist() == [[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 1, 0], [0, 1, 0, 0, 0, 1]]
