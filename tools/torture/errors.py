"""What `okimi torture` raises on purpose: the venue did not survive what it has to survive."""


class TortureFailed(Exception):
    """The run cannot go on; the message says after what, and where the data is."""
