"""Ctrl-C ends a training between two steps, never inside one."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The training was interrupted; the message says how to go on."""


class InterruptFlag:
    """While open, the first Ctrl-C sets `raised`; a second one interrupts at once.

    Only the main thread can do this; elsewhere nothing changes.
    """

    raised = False

    def __enter__(self) -> InterruptFlag:
        self.before = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        # SIG_IGN: started in the background, not to be disturbed; None: whoever embeds Python handles it
        self.active = main and self.before not in (signal.SIG_IGN, None)
        if self.active:
            signal.signal(signal.SIGINT, self._set)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.active:
            signal.signal(signal.SIGINT, self.before)

    def _set(self, number: int, frame: FrameType | None) -> None:
        if self.raised:
            raise KeyboardInterrupt
        self.raised = True
