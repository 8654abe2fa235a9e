"""Imported once by the server that forks the processes of a test, so that each of them starts in milliseconds."""

from __future__ import annotations

import scipy.special  # noqa: F401
import torch
import torch._dynamo
from safetensors import torch as _  # noqa: F401

from kshot.training.optimisers import build_optimizer
from training_support import small_method

torch.set_num_threads(1)
build_optimizer("adam", small_method().parameters(), lr=0.1)
