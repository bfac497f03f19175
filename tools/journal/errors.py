"""What tools.journal raises on purpose; errors of the journal itself are the engine's."""


class JournalToolError(Exception):
    """What was asked for cannot be done; the message says why and what to do."""
