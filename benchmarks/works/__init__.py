"""The works that are measured: a module for each library and kind of work, started by worker.py in its own process."""
