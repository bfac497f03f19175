"""Replays: recordings of real exchanges as commands, and oracles that judge the events.

`FORMATS` is the face of the package: a format reads a file into a `Plan` and verifies the events
that the engine gave for its commands. Nothing here touches an engine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.replay import kraken, mbo, meb
from tools.replay.errors import ReplayError
from tools.replay.plan import Plan, Result

__all__ = ["FORMATS", "Format", "Plan", "ReplayError", "Result"]


@dataclass(frozen=True)
class Format:
    """How files of one kind are replayed."""

    read: Callable[[Path], Plan]
    "The plan of a file. ReplayError when it cannot be one; OSError when it cannot be read."
    verify: Callable[[Any, Any], Result]
    "The result for this format's plan and event slots, an array of n x MESSAGE_BYTES bytes."


FORMATS: Final = {
    "kraken": Format(kraken.read, kraken.verify),
    "mbo": Format(mbo.read, mbo.verify),
    "meb": Format(meb.read, meb.verify),
}
