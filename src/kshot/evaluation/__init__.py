"""Reports with intervals, paired comparison and records."""

from __future__ import annotations

from .compare import Comparison, compare, compare_reports
from .evaluate import evaluate, method_name
from .measures import MEASURES, accuracy, correct, mse
from .records import write_comparison, write_record
from .report import Report
from .score import evaluating, predictions, score_tasks

__all__ = [
    "MEASURES",
    "Comparison",
    "Report",
    "accuracy",
    "compare",
    "compare_reports",
    "correct",
    "evaluate",
    "evaluating",
    "method_name",
    "mse",
    "predictions",
    "score_tasks",
    "write_comparison",
    "write_record",
]
