"""Progress bars over a journal: how far into its segments a reader is."""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console

from engine.durability.errors import StorageGone
from engine.durability.reader import Frame
from tools.journal.opening import OpenJournal
from tools.run import progress_bar


class Meter:
    """Shows the place of frames; a bar is moved once in UPDATE_BYTES, not for each frame."""

    UPDATE_BYTES = 1 << 20

    def __init__(self, journal: OpenJournal, console: Console, text: str) -> None:
        """`text` says what is being done."""
        storage = journal.storage
        self._names = sorted({*storage.archived(), *storage.segments()})
        # Archived segments had about the size of the others before they were compressed.
        self._segment_bytes = 1
        with suppress(StorageGone):  # of one that is archived just now
            self._segment_bytes = max(map(storage.size, storage.segments()), default=1)
        self._bar = progress_bar(console)
        self._task = self._bar.add_task(text, total=max(len(self._names), 1) * self._segment_bytes)
        self._shown = 0

    def __enter__(self) -> "Meter":
        self._bar.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._bar.stop()

    def over(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames, while the bar moves on."""
        segment = before = 0
        for frame in frames:
            yield frame
            if frame.segment != segment:  # perhaps one that was not there at the beginning
                segment, before = frame.segment, bisect_left(self._names, frame.segment)
            done = before * self._segment_bytes + frame.offset
            if done - self._shown >= self.UPDATE_BYTES:
                self._bar.update(self._task, completed=done)
                self._shown = done


@contextmanager
def metered(
    journal: OpenJournal, console: Console, text: str, first: int = 0
) -> Iterator[Iterator[Frame]]:
    """The frames of a journal from a decision on, with a bar."""
    with Meter(journal, console, text) as meter:
        yield meter.over(journal.frames(first))
