"""Classifiers for programs without kshot: ONNX, and torch's own exported programs.

from kshot.estimator import FewShotClassifier
from kshot.export import export

export(FewShotClassifier("runs/letters").fit(paths, names), "export")
"""

from __future__ import annotations

from .check import ExportError
from .files import export
from .fitted import Fitted

__all__ = ["ExportError", "Fitted", "export"]
