"""Every error that durability raises on purpose.

DurabilityError
├── StorageError
│   ├── StorageFailed      the device could not read, write or sync: what is on it is unknown
│   ├── StorageFull        no room; nothing has changed, and it may work later
│   └── StorageGone        a segment was removed, now or while it was read
├── JournalError
│   ├── JournalRotten      data that was acknowledged is damaged
│   ├── JournalGap         decisions are missing between two that are there, or at the end
│   ├── JournalForeign     a file in the journal's folder is none of ours
│   ├── JournalVersion     written in another format, or by another version of the engine
│   └── JournalPoisoned    the writer has failed before and writes nothing more
├── SnapshotError
│   ├── SnapshotRotten     a snapshot is damaged
│   ├── SnapshotMismatch   a snapshot of another layout, venue or version
│   └── SnapshotMissing    there is no snapshot that could be used
├── DataDirError
│   ├── DataDirInUse       another supervisor holds the folder
│   ├── DataDirForeign     the folder belongs to another venue, or to no venue
│   └── DataDirChanged     the configuration is not the one the venue began with
├── EventsGone             events that are no longer kept, or cannot be derived any more
├── EventsRotten           a file of the event log is damaged; all can be made again
└── Diverged               deriving state again gave something else than was written down
"""


class DurabilityError(Exception):
    """Base of all errors of this package."""


class StorageError(DurabilityError):
    """Base of the errors of the medium."""


class StorageFailed(StorageError):
    """A read, write or sync failed. After a failed sync nobody knows what is on the device."""


class StorageFull(StorageError):
    """There is no room. What was asked for has not happened and may be asked again."""


class StorageGone(StorageError):
    """A segment is not there, or was removed while it was read. The archive may have it."""


class JournalError(DurabilityError):
    """Base of the errors about the contents of a journal."""


class JournalRotten(JournalError):
    """Acknowledged data is damaged; the message names file, offset, decisions and remedy."""


class JournalGap(JournalError):
    """Decisions are missing; the message names the first one and where it should be."""


class JournalForeign(JournalError):
    """A file of the journal's folder was not made by this program."""


class JournalVersion(JournalError):
    """The journal has a format, or decisions of an engine, that this program does not know."""


class JournalPoisoned(JournalError):
    """The writer has failed before: it must be thrown away, and the journal read anew."""


class SnapshotError(DurabilityError):
    """Base of the errors about snapshots."""


class SnapshotRotten(SnapshotError):
    """A snapshot is damaged; the message names file, section and remedy."""


class SnapshotMismatch(SnapshotError):
    """A snapshot of another record layout, shape or engine version than this program has."""


class SnapshotMissing(SnapshotError):
    """No snapshot is there, or none that is whole."""


class DataDirError(DurabilityError):
    """Base of the errors about the folder of a venue."""


class DataDirInUse(DataDirError):
    """Another process holds the lock of the folder."""


class DataDirForeign(DataDirError):
    """The folder is not that of this venue."""


class DataDirChanged(DataDirError):
    """The configuration differs from the one with which the venue began."""


class EventsGone(DurabilityError):
    """Events were asked for that are no longer kept; the message names the first that is."""


class EventsRotten(DurabilityError):
    """A file of the materialised event log cannot be used; the message says how to make it anew."""


class Diverged(DurabilityError):
    """Deriving state again gave another result than the one that was written down."""

    def __init__(self, dseq: int, what: str) -> None:
        """Name the decision at which it showed, and what differs."""
        super().__init__(f"decision {dseq}: {what}")
        self.dseq = dseq
        "The decision at which the difference was seen."
        self.what = what
