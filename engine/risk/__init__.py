"""The risk stage: what may be ordered, what it reserves, what trades do to the accounts."""
