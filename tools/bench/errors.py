"""What can go wrong while measuring."""


class BenchFailed(Exception):
    """A run did not deliver what it must, so its figures would mean nothing."""
