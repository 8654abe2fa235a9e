"""scikit-learn's own checks of the regressor, on a method that takes inputs of any shape: a smoother."""

from __future__ import annotations

import pytest
import torch
from sklearn.utils.estimator_checks import estimator_checks_generator
from torch import Tensor

from kshot.estimator import FewShotRegressor
from kshot.methods.base import About, Method

NOT_HERE = {"check_array_api_input": "needs SCIPY_ARRAY_API", "check_regressor_data_not_an_array": "needs pandas"}


class Smoother(Method):
    """Nadaraya and Watson's: the mean of the examples' targets, weighted by a Gaussian of the distance."""

    about = About(title="smoother", source="", idea="", meta_trained=False, targets=("regression",))

    def adapt(self, xs: Tensor, ys: Tensor, way: int) -> tuple[Tensor, Tensor]:
        return xs, ys

    def predict(self, state: tuple[Tensor, Tensor], xq: Tensor, *, transductive: bool = False) -> Tensor:
        xs, ys = state
        return (-50 * torch.cdist(xq, xs).square()).softmax(-1).to(ys.dtype) @ ys  # [T, Q, D]


CHECKS = {
    getattr(check, "func", check).__name__: check
    for _, check in estimator_checks_generator(FewShotRegressor(Smoother()))
}
SHAPELESS = ("check_parameters_default_constructible", "check_no_attributes_set_in_init", "check_estimators_unfitted")


@pytest.mark.parametrize("name", sorted(CHECKS.keys() - NOT_HERE))
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks(name: str) -> None:
    CHECKS[name](FewShotRegressor(Smoother()))


@pytest.mark.parametrize("name", SHAPELESS)
def test_the_checks_that_need_no_data_of_any_width_on_the_default_model(name: str) -> None:
    CHECKS[name](FewShotRegressor())
