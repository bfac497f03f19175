"""Every error that ipc raises on purpose.

IpcError
├── LayoutError            a record is declared in a way that cannot be laid out
├── MemoryFault            an interpreted access outside of any registered memory
└── SegmentError
    ├── SegmentInUse       a living owner holds a segment of this name
    ├── SegmentMissing     no segment of this name exists
    ├── SegmentForeign     the segment was not made by okimi, or belongs to another user
    ├── SegmentMismatch    the segment was made for another record layout or size
    └── SegmentSpace       the shared memory file system has too little room
"""


class IpcError(Exception):
    """Base of all errors of this package."""


class LayoutError(IpcError):
    """A record declaration that cannot be laid out; the message names class and field."""


class MemoryFault(IpcError):
    """An access outside of registered memory, caught by the interpreted twin."""


class SegmentError(IpcError):
    """Base of all errors about shared memory segments."""


class SegmentInUse(SegmentError):
    """The name belongs to a segment whose owner is alive."""


class SegmentMissing(SegmentError):
    """There is no segment of this name."""


class SegmentForeign(SegmentError):
    """Something of this name exists that this program or user did not make."""


class SegmentMismatch(SegmentError):
    """The segment holds another record layout or another size than the caller expects."""


class SegmentSpace(SegmentError):
    """Shared memory has no room left for the segment."""
