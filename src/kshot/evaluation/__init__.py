"""Reports with intervals, paired comparison and records."""

from __future__ import annotations

from .evaluate import evaluate, method_name
from .measures import MEASURES, accuracy, correct, mse
from .report import Report
from .score import evaluating, predictions, score_tasks

__all__ = [
    "MEASURES",
    "Report",
    "accuracy",
    "correct",
    "evaluate",
    "evaluating",
    "method_name",
    "mse",
    "predictions",
    "score_tasks",
]
