"""`okimi journal dump`: decisions as lines for people or as JSON lines."""

import itertools
from collections.abc import Iterator

from tools.journal import records
from tools.journal.decisions import Document, describe
from tools.journal.names import Names
from tools.journal.opening import OpenJournal
from tools.journal.records import Filter


def documents(journal: OpenJournal, names: Names, wanted: Filter) -> Iterator[Document]:
    """The decisions that are wanted, described.

    The journal is read from its beginning, whatever is wanted: names of instruments that were
    listed on the way are learned there.
    """
    for frame in journal.frames():
        if wanted.last is not None and frame.first_dseq > wanted.last:
            break
        rows = records.slots_of(frame)
        # What an instrument is called changes where it is listed: lines before have the old name.
        cuts = [0, *(int(place) for place in records.lists(rows).nonzero()[0]), len(rows)]
        for begin, end in itertools.pairwise(cuts):
            part = rows[begin:end]
            records.learn(part, names)
            chosen = part[wanted.chosen(part, names)]
            for decision in records.decode(chosen):
                yield describe(decision, names)
    wanted.check_symbols(names)
