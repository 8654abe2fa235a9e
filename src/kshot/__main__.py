"""`python -m kshot` is the `kshot` command."""

from .cli import main

main()
