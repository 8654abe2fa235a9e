"""Reports with intervals, paired comparison and records."""

from __future__ import annotations

from .calibration import Calibration, calibrate, read_calibration, write_calibration
from .compare import Comparison, compare, compare_reports
from .evaluate import evaluate, method_name
from .measures import MEASURES, accuracy, correct, mse
from .records import write_comparison, write_record
from .report import Report
from .score import evaluating, predictions, score_tasks

__all__ = [
    "MEASURES",
    "Calibration",
    "Comparison",
    "Report",
    "accuracy",
    "calibrate",
    "compare",
    "compare_reports",
    "correct",
    "evaluate",
    "evaluating",
    "method_name",
    "mse",
    "predictions",
    "read_calibration",
    "score_tasks",
    "write_calibration",
    "write_comparison",
    "write_record",
]
