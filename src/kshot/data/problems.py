"""Files that cannot be used: stop at the first, or leave them out and count them."""

from __future__ import annotations

from ..errors import UserError


class Problems:
    """Collects what is wrong with files.

    Args:
        skip: leave unusable files out (`--skip-bad`); otherwise the first one is an error.
    """

    def __init__(self, skip: bool = False) -> None:
        self.skip = skip
        self.messages: list[str] = []

    def add(self, message: str) -> None:
        """Note a message that names the file, says what is wrong and what to do; raises it unless skipping."""
        if not self.skip:
            raise UserError(f"{message}, or leave out everything unusable by --skip-bad")
        self.messages.append(message)

    @property
    def note(self) -> str:
        """What a report adds: "; 3 unusable files or folders left out", or nothing."""
        count = len(self.messages)
        return f"; {count} unusable {'file or folder' if count == 1 else 'files or folders'} left out" if count else ""
