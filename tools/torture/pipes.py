"""What a process says, line by line, if it says it in time."""

import select
from typing import IO


def next_line(pipe: IO[str], seconds: float) -> str:
    """The next line, without blanks around it; empty when none comes within some seconds."""
    poll = select.poll()  # `select.select` takes no descriptor above 1,023
    poll.register(pipe, select.POLLIN)
    return pipe.readline().strip() if poll.poll(seconds * 1000) else ""
