"""kshot: meta-learning in PyTorch. Models that learn a new task from one or a few examples."""

__version__ = "0.1.0"
