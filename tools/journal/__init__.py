"""`okimi journal`, `okimi events` and `okimi replay --format journal`: looking into a journal.

Everything here reads; only `truncate --yes` cuts. Nothing needs a running venue, and one that runs
does not notice.
"""
