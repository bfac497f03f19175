"""Shared memory, lock-free rings, clocks and counters for processes of compiled Python.

Knows nothing of trading. Declare messages and state as records (`record`), compile functions
over them (`jit`), pass them through rings (`ring`) in named segments (`segment`).
"""

from ipc import reference as reference  # teaches the compiler what a record is
