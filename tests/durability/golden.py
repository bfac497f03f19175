"""The golden journal: decisions of a seeded run, kept in tests/data with what followed from them.

`python -m tests.durability.golden` records it anew: only when ENGINE_VERSION has been raised. The
journal is kept as the archive keeps segments; what the venue begins with comes from `config.json`.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import zstandard

from engine.config import Config
from engine.durability import datadir
from engine.durability.blocks import Block
from engine.durability.datadir import Identity
from engine.durability.eventlog import EventLog
from engine.durability.file_storage import (
    ARCHIVED_SUFFIX,
    MANIFEST_SUFFIX,
    FileStorage,
    file_name,
)
from engine.durability.format import ENGINE_VERSION
from engine.durability.pursuit import Pursuit
from engine.durability.recovery import write_genesis
from engine.limits import ACCOUNTS_MAX, ASSETS_MAX, INSTRUMENTS_MAX
from engine.matching import MatchingState
from engine.messages import Side
from engine.risk.state import RiskState
from engine.risk.views import RiskViews
from engine.topology import plan
from engine.venue import create_private
from ipc import memory
from tests.acts_of_risk import OF_RISK
from tests.bulk_streams import TOPS, Habits, bulk
from tests.desk import as_array
from tests.durability.folders import Recorder
from tools.journal.books import levels

GOLDEN: Final = Path(__file__).resolve().parent.parent / "data" / "golden"
SEED: Final = 20_261_122
COMMANDS: Final = 3_000
HABITS: Final = Habits(
    {**TOPS.acts, **{name: 0.6 for name in OF_RISK}},
    depth=100,
    drift=0.03,
    extras=0.1,
    groups=True,
    bands=True,
    price_steps=True,
)
HALTS: Final = tuple(range(500, COMMANDS + 1, 500))
"""Decisions after which the hash is looked at."""

FIRST: Final = 1
CONFIG: Final = GOLDEN / "config.json"
SEGMENT: Final = GOLDEN / file_name(FIRST, ARCHIVED_SUFFIX)
FOUND: Final = GOLDEN / "hashes.json"


def config() -> Config:
    """The venue of the journal."""
    return Config.build(**json.loads(CONFIG.read_text()))


@contextmanager
def folder() -> Iterator[Path]:
    """A data folder with the golden journal in its archive, and a genesis made now."""
    with TemporaryDirectory(prefix="okimi-golden-") as place:
        made = config()
        path = Path(place) / "venue"
        identity = Identity(made.venue.name, made.venue.shards, made.rings.event_slots)
        begun = datadir.begin(path, identity)
        venue = create_private(made, plan(made, clients=("driver",), cores=[0]))
        write_genesis(venue, begun)
        for part in (venue.ingest, venue.risk, *venue.matching, venue.reference, venue.counters):
            memory.forget(memory.find(part.address, 1))
        for ring in venue.rings.values():
            memory.forget(memory.find(ring.address, 1))
        datadir.settle(begun)
        (begun.archive / SEGMENT.name).write_bytes(SEGMENT.read_bytes())
        (begun.archive / file_name(FIRST, MANIFEST_SUFFIX)).write_text("{}")
        yield path


def derived(path: Path) -> dict[str, Any]:
    """What follows from the decisions now, in numbers that no change of a layout changes."""
    storage = FileStorage(path, 0)
    pursuit = Pursuit(datadir.attach(path), storage, None)
    hashes: dict[str, str] = {}
    for halt in HALTS:
        for _ in pursuit.follow(None, halt):
            pass
        hashes[str(pursuit.dseq)] = f"{pursuit.replica.state_hashes[0]:016x}"
    pursuit.replica.hear_all()
    books = _books(pursuit.replica.blocks)
    accounts = _accounts(pursuit.replica.blocks)
    pursuit.free()
    storage.close()
    log = EventLog(path)
    events = hashlib.sha256()
    count = 0
    for event in log.read(0, 1):
        events.update(repr(tuple(event._replace(stamp_ticks=0))).encode())
        count += 1
    log.close()
    return {
        "engine_version": ENGINE_VERSION,
        "state_hashes": hashes,
        "events": count,
        "events_sha256": events.hexdigest(),
        "books_sha256": _digest(books),
        "accounts_sha256": _digest(accounts),
    }


def _books(blocks: Mapping[str, Block]) -> list[Any]:
    """All levels of all books."""
    books = MatchingState(blocks["matching.0"].address).books
    return [
        (instrument, int(side), tuple(level))
        for instrument in range(INSTRUMENTS_MAX)
        for side in Side
        for level in levels(books, instrument, side)
    ]


def _accounts(blocks: Mapping[str, Block]) -> list[Any]:
    """Money and positions of all accounts."""
    views = RiskViews(RiskState(blocks["risk"].address), ASSETS_MAX)
    made: list[Any] = []
    for account in range(ACCOUNTS_MAX):
        made += [
            (account, each.asset, each.total, each.reserved) for each in views.balances(account)
        ]
        made += [
            (account, each.instrument, each.net, each.cost, each.realised, each.fees)
            for each in views.positions(account)
        ]
    return made


def _digest(found: Any) -> str:
    return hashlib.sha256(repr(found).encode()).hexdigest()


def record() -> None:
    """Make the journal and write down what follows from it."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    stream = bulk(SEED, COMMANDS, HABITS, instruments=3)
    tables = json.loads(json.dumps(stream.market.tables(), default=str))
    CONFIG.write_text(json.dumps(tables | {"venue": {"name": "golden"}}, indent=1) + "\n")
    with TemporaryDirectory(prefix="okimi-golden-") as place:
        recorder = Recorder(Path(place) / "venue", config(), frame_decisions=100)
        recorder.run(as_array(stream.commands))
        recorder.close()
        segment = recorder.folder.journal / file_name(FIRST, ".journal")
        SEGMENT.write_bytes(zstandard.ZstdCompressor(level=19).compress(segment.read_bytes()))
    with folder() as path:
        FOUND.write_text(json.dumps(derived(path), indent=1) + "\n")


if __name__ == "__main__":
    record()
