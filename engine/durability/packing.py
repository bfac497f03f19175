"""Messages in files: 128 bytes each, or 192 with TERMS; in arrays: whole slots of 192.

What a journal and an event log store is packed; NumPy, codecs and exports want slots.
"""

from typing import Any, Final

import numpy as np

from engine.messages import MESSAGE_BYTES, PLAIN_BYTES, CommandFlag, EventFlag, Message
from ipc.record import CACHE_LINE_BYTES

_TERMS: Final = int(CommandFlag.TERMS)
_FLAGS: Final = Message.fields["flags"].offset
_LINES: Final = MESSAGE_BYTES // CACHE_LINE_BYTES

assert int(EventFlag.TERMS) == _TERMS, "the bit is the same in decisions and events"


def pack(slots: Any) -> bytes:
    """Messages without the third line of those that have no terms; an array of whole slots."""
    raw = slots.view(np.uint8).reshape(len(slots), MESSAGE_BYTES)
    counts = np.ones((len(slots), _LINES), np.bool_)
    counts[:, _LINES - 1] = raw[:, _FLAGS] & _TERMS != 0
    packed: bytes = raw.reshape(len(slots), _LINES, CACHE_LINE_BYTES)[counts].tobytes()
    return packed


def unpack(payload: Any, count: int, dtype: Any) -> Any:
    """An array of `count` slots of a type; the third line is zero where there are no terms."""
    raw = np.frombuffer(payload, np.uint8)
    made = np.zeros((count, MESSAGE_BYTES), np.uint8)
    if len(raw) == count * PLAIN_BYTES:  # none has terms
        made[:, :PLAIN_BYTES] = raw.reshape(count, PLAIN_BYTES)
    else:
        start = 0
        for row in range(count):
            end = start + (MESSAGE_BYTES if raw[start + _FLAGS] & _TERMS else PLAIN_BYTES)
            made[row, : end - start] = raw[start:end]
            start = end
        assert start == len(raw), f"{count} messages take {start} bytes, not {len(raw)}"
    return made.reshape(-1).view(dtype)
