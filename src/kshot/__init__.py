"""kshot: meta-learning in PyTorch. Models that learn a new task from one or a few examples."""

import os as _os

__version__ = "0.1.0"

# Let torch ask Linux for large pages: the activations of a step are new memory each time, and handing them out and
# clearing them in pages of 4 KB took a third of a convolutional network's step. Torch reads this once, when it first
# allocates; it changes nothing elsewhere, and whoever has set it decides.
_os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# Let the threads of an operation wait for each other without holding a core for long: where another process keeps one
# core busy, small steps on two threads took over 30 times as long as on one. Read once, when torch is imported.
if "OMP_WAIT_POLICY" not in _os.environ:
    _os.environ.setdefault("GOMP_SPINCOUNT", "10000")
