"""Every error that tools.replay raises on purpose.

ReplayError
├── FileFormatError        the file is not what its format says
├── UnsupportedFileError   the file holds something that cannot be replayed
└── MissingDecoderError    reading this format needs a package that is not installed
"""


class ReplayError(Exception):
    """Base of all errors of this package; the message names the file or record."""


class FileFormatError(ReplayError):
    """The file is cut off, garbled, or of another format."""


class UnsupportedFileError(ReplayError):
    """The file is intact, but needs what okimi does not do."""


class MissingDecoderError(ReplayError):
    """An optional dependency is absent; the message says how to install it."""
