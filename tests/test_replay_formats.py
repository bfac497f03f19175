"""Recordings of exchanges as plans, and oracles that judge events: kraken and meb.

Events come from the naive venue, so a failure here is one of the formats.
"""

import hashlib
import json
import lzma
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.limits import CHECKPOINT_INTERVAL
from engine.marketdata import L2Book, level_changes
from engine.messages import MESSAGE_BYTES, CommandFlag, CommandKind, EventFlag, Side
from tests.replays import commands_of, lines_of, shared, slots_of, venue_of, workload
from tools.data import KRAKEN
from tools.replay import FORMATS, ReplayError, kraken, meb
from tools.replay.errors import FileFormatError
from tools.replay.plan import EVENT, stream_faults

# --- the stream itself ---------------------------------------------------------------------------


CROSSED = workload((0, 1, 0, 5, 1, 100), (0, 0, 0, 7, 2, 100), (1, 0, 0, 0, 1, 0))
"""A sale, a purchase that takes it and rests with the other two, a cancel that comes too late."""


def test_a_sound_stream_has_no_faults() -> None:
    assert stream_faults(3, slots_of(meb.make_plan(CROSSED))) == []


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda slots: np.delete(slots, 2, 0), "not dense"),
        (lambda slots: slots[:-1], "2 answers end in LAST; expected one for each of the 3"),
        (lambda slots: slots[[0, 1, 4, 2, 3]], "not dense"),
        (lambda slots: slots[:0], "0 answers end in LAST"),
    ],
    ids=["lost inside", "lost at the end", "moved", "nothing"],
)
def test_a_damaged_stream_is_noticed(damage: Any, fault: str) -> None:
    slots = slots_of(meb.make_plan(CROSSED))
    assert len(slots) == 5
    faults = stream_faults(3, np.ascontiguousarray(damage(slots)))
    assert any(fault in line for line in faults), faults


def long_answer(checkpoints: tuple[int, ...]) -> Any:
    """Two events for each of LONG commands; after these commands a sequence is not among them."""
    slots = np.zeros((2 * LONG, MESSAGE_BYTES), np.uint8)
    events = slots.view(EVENT)[:, 0]
    commands = np.arange(1, LONG + 1)
    events["source_sequence"] = np.repeat(commands, 2)
    events["flags"][1::2] = EventFlag.LAST
    passed = sum((events["source_sequence"] > after).astype(np.int64) for after in checkpoints)
    events["sequence"] = np.arange(1, 2 * LONG + 1) + passed
    return slots


LONG = 2 * CHECKPOINT_INTERVAL + 9


def test_a_checkpoint_takes_a_sequence() -> None:
    assert stream_faults(LONG, long_answer((CHECKPOINT_INTERVAL, 2 * CHECKPOINT_INTERVAL))) == []


@pytest.mark.parametrize(
    "checkpoints",
    [
        (),
        (CHECKPOINT_INTERVAL,),
        (CHECKPOINT_INTERVAL - 1, 2 * CHECKPOINT_INTERVAL),
        (CHECKPOINT_INTERVAL, 2 * CHECKPOINT_INTERVAL, 2 * CHECKPOINT_INTERVAL + 3),
        (0, CHECKPOINT_INTERVAL, 2 * CHECKPOINT_INTERVAL),
    ],
    ids=["none", "one of two", "one too early", "a gap beside", "begins late"],
)
def test_other_gaps_are_noticed(checkpoints: tuple[int, ...]) -> None:
    (fault,) = stream_faults(LONG, long_answer(checkpoints))
    assert "not dense" in fault


def test_an_answer_after_the_last_one_is_noticed() -> None:
    slots = slots_of(meb.make_plan(CROSSED))
    flags = slots.view(EVENT)[:, 0]["flags"]
    flags[2:4] = flags[3:1:-1]
    assert stream_faults(3, slots) == [
        "events of one command are not together, or its last one lacks LAST"
    ]


# --- kraken --------------------------------------------------------------------------------------


def test_every_checksum_of_the_bundled_recording_is_met() -> None:
    plan = kraken.read(KRAKEN)
    result = kraken.verify(plan, slots_of(plan))
    assert result.lines == ()
    assert result.report(2.0) == {
        "updates": 4269,
        "checksums_ok": 4269,
        "commands": len(plan.commands),
        "trades": 0,
        "commands_per_s": len(plan.commands) / 2,
        "ok": True,
    }


def test_the_bundled_recording_is_the_original_byte_for_byte() -> None:
    original = shared("kraken/KRAKEN.ws.50.0").read_bytes()
    assert lzma.decompress(KRAKEN.read_bytes()) == original
    notice = KRAKEN.with_name("kraken-2021-04-17.LICENSE.txt").read_text()
    assert notice == shared("kraken/LICENSE.cryptofeed.txt").read_text()


def test_a_wrong_level_breaks_the_checksums_that_cover_it() -> None:
    plan = kraken.read(KRAKEN)
    slots = slots_of(plan)
    top = slots.view(EVENT)[:, 0]
    rows = np.flatnonzero(top["source_sequence"] == plan.update_ends[0])
    top["level_lots"][rows] += 1
    result = kraken.verify(plan, slots)
    assert not result.ok
    assert result.checksums_ok < 4269
    assert result.lines[0].startswith("update 1, XMR/USD: checksum ")


class Recording:
    """A made-up recording of one pair, with checksums from the texts that it holds."""

    def __init__(self, depth: int, **snapshot: list[tuple[str, str]]) -> None:
        self.depth = depth
        self.levels = {key: dict(rows) for key, rows in (("a", []), ("b", []))}
        self.lines = ["wss://example <-> 1", '2: {"event":"heartbeat"}']
        for key, rows in snapshot.items():
            self.levels[key[0]] = dict(rows)
        self._say({key: [(*row, "0") for row in rows] for key, rows in snapshot.items()})

    def update(self, **parts: list[tuple[str, str]]) -> None:
        """Levels to set, one part of the message for each side, as the exchange would send."""
        for key, rows in parts.items():
            for price, volume in rows:
                self.levels[key][price] = volume
                if not float(volume):
                    del self.levels[key][price]
            best = sorted(self.levels[key], key=float, reverse=key == "b")
            self.levels[key] = {price: self.levels[key][price] for price in best[: self.depth]}
        *first, last = ({key: [(*row, "0") for row in rows]} for key, rows in parts.items())
        text = "".join(
            price.replace(".", "").lstrip("0")
            + self.levels[key][price].replace(".", "").lstrip("0")
            for key in "ab"
            for price in sorted(self.levels[key], key=float, reverse=key == "b")[:10]
        )
        self._say(*first, last | {"c": str(zlib.crc32(text.encode()))})

    def _say(self, *parts: Any) -> None:
        message = [7, *parts, f"book-{self.depth}", "SC/EUR"]
        self.lines.append(f"{len(self.lines)}.5: {json.dumps(message)}")

    def plan(self, folder: Path) -> kraken.KrakenPlan:
        path = folder / "made.ws"
        path.write_text("\n".join(self.lines) + "\n")
        return kraken.read(path)


def kinds(plan: Any, start: int = 0) -> list[str]:
    return [CommandKind(kind).name for kind in plan.commands["kind"][start:]]


def test_deletions_of_a_message_go_before_its_additions(tmp_path: Path) -> None:
    made = Recording(10, **{"as": [("0.0500", "1.0")], "bs": [("0.0430", "2.0")]})
    made.update(a=[("0.0430", "3.0")], b=[("0.0430", "0.0")])
    plan = made.plan(tmp_path)
    assert kinds(plan, 2) == ["CANCEL", "NEW"]
    assert kraken.verify(plan, slots_of(plan)).ok
    assert plan.instruments[0]["tick"] == "0.001"
    assert (plan.commands["flags"][plan.commands["kind"] == 1] == CommandFlag.POST_ONLY).all()


def test_levels_deeper_than_the_subscription_are_cancelled(tmp_path: Path) -> None:
    made = Recording(2, **{"as": [("5.1", "1.0"), ("5.2", "1.0")], "bs": [("4.9", "1.0")]})
    made.update(a=[("5.0", "4.0")])
    made.update(a=[("5.0", "4.5"), ("5.2", "2.0")])
    made.update(a=[("5.0", "4.5")])
    plan = made.plan(tmp_path)
    assert kinds(plan, 3) == ["NEW", "CANCEL", "AMEND", "NEW", "CANCEL"]
    result = kraken.verify(plan, slots_of(plan))
    assert (result.updates, result.checksums_ok, result.ok) == (3, 3, True)


def test_a_recording_that_crosses_itself_is_told_not_hidden(tmp_path: Path) -> None:
    made = Recording(10, **{"as": [("5.1", "1.0")], "bs": [("4.9", "1.0")]})
    made.update(b=[("5.1", "1.0")])
    plan = made.plan(tmp_path)
    result = kraken.verify(plan, slots_of(plan))
    assert (result.ok, result.checksums_ok, result.trades) == (False, 0, 0)
    assert "command 3 was refused: REJECTED, reason 402" in result.lines


def test_a_level_too_valuable_for_one_order_becomes_several(tmp_path: Path) -> None:
    made = Recording(
        10, **{"as": [("1.00001", "1.00000000"), ("10000.00000", "50000.00000001")], "bs": []}
    )
    made.update(a=[("10000.00000", "40000.00000002")])
    made.update(a=[("10000.00000", "0.00000000")])
    plan = made.plan(tmp_path)
    slots = slots_of(plan)
    assert kraken.verify(plan, slots).ok
    book = L2Book()
    changes = level_changes(slots)
    ends = np.searchsorted(
        slots.view(EVENT)[changes.rows, 0]["source_sequence"], plan.update_ends[:1], "right"
    )
    for level in list(zip(changes.sides, changes.prices_ticks, changes.lots, strict=True))[
        : ends[0]
    ]:
        book.apply(*level)
    assert book.best(Side.SELL, 2)[1] == (1_000_000_000, 4_000_000_000_002)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.ws", b""),
        ("other.ws", b"hello\n"),
        ("cut.xz", KRAKEN.read_bytes()[:5000]),
        ("garbled.xz", b"hello"),
        ("row.ws", b'1: [7, {"as": [["1.0"]]}, "book-10", "A/B"]\n'),
        ("list.ws", b'1: [7, [1], "book-10", "A/B"]\n'),
        ("pair.ws", b'1: [7, {"as": [["1.0", "2.0", "3"]], "bs": []}, "book-10", "AB"]\n'),
        ("short.ws", b"1: []\n"),
    ],
)
def test_what_is_no_recording_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=name):
        FORMATS["kraken"].read(path)


# --- meb -----------------------------------------------------------------------------------------


def naive_reports(messages: meb.Messages) -> list[str]:
    """The report lines of a workload by a book that sorts all its orders for every match."""
    resting: list[list[int]] = []  # side, order_id, price, qty in the order of arrival
    reports: list[tuple[int, int, str]] = []

    def match(seq: int, order: list[int], ioc: bool) -> None:
        side, order_id, price, _ = order
        sign = 1 if side else -1  # a buyer wants the lowest ask, a seller the highest bid
        others = [o for o in resting if o[0] != side and (o[2] - price) * sign >= 0]
        for other in sorted(others, key=lambda o: -sign * o[2]):
            fill = min(order[3], other[3])
            if fill:
                order[3] -= fill
                other[3] -= fill
                reports.append((seq, 1, f"1,{seq},{other[2]},{fill},{other[1]},{order_id}"))
        resting[:] = [o for o in resting if o[3]]
        if order[3] and ioc:
            reports.append((seq, 2, f"2,{seq},{side},{order_id},{price}"))
        elif order[3]:
            resting.append(order)

    columns = (messages.kind, messages.side, messages.ioc, messages.qty, messages.order_id)
    rows = zip(*(c.tolist() for c in (*columns, messages.price_ticks)), strict=True)
    for seq, (kind, side, ioc, qty, order_id, price) in enumerate(rows):
        found = next((o for o in resting if o[1] == order_id), None)
        if kind == 0:
            reports.append((seq, 0, f"0,{seq},{side},{order_id},{price},{qty}"))
            match(seq, [side, order_id, price, qty], bool(ioc))
        elif found is None:
            reports.append((seq, kind + 3, f"{kind + 3},{seq},{order_id}"))
        else:
            resting.remove(found)
            if kind == 1:
                reports.append((seq, 2, f"2,{seq},{found[0]},{order_id},{found[2]}"))
            else:
                reports.append((seq, 3, f"3,{seq},{found[0]},{order_id},{price},{qty}"))
                match(seq, [found[0], order_id, price, qty], ioc=False)
    return [line for *_, line in sorted(reports, key=lambda report: report[:2])]


def test_the_first_messages_of_a_workload_report_what_a_naive_book_does() -> None:
    packed = shared("meb/swing-40_s23.cols.xz")
    whole = meb.unpack(packed)
    first = meb.Messages(*(getattr(whole, name)[:6000] for name in vars(whole)))
    plan = meb.make_plan(first)
    slots = slots_of(plan)
    assert set(np.unique(first.kind)) == {0, 1, 2}
    assert lines_of(plan, slots) == naive_reports(first)


def pack(messages: meb.Messages) -> bytes:
    flags = messages.kind | messages.side << 2 | messages.ioc << 3
    parts = [flags.astype("u1").tobytes(), messages.qty.astype("u1").tobytes()]
    for column, form in ((messages.order_id, "<u4"), (messages.price_ticks, "<i4")):
        planes = column.astype(form).view("u1").reshape(-1, 4).T
        parts.append(planes.tobytes())
    return lzma.compress(b"".join(parts))


MIXED = workload(
    (0, 1, 0, 5, 70_000, -100),
    (0, 0, 1, 7, 2, 100),
    (0, 0, 0, 3, 70_000, 90_000),
    (2, 0, 0, 9, 70_000, 80_000),
    (1, 0, 0, 0, 2, 0),
)


def test_a_packed_file_is_unpacked_to_what_was_packed(tmp_path: Path) -> None:
    path = tmp_path / "made_s1.cols.xz"
    path.write_bytes(pack(MIXED))
    found = meb.unpack(path)
    for name, column in vars(MIXED).items():
        assert getattr(found, name).tolist() == column.tolist(), name
    assert len(meb.read(path).commands) == 5


def test_the_manifest_beside_a_file_decides(tmp_path: Path) -> None:
    path, manifest = tmp_path / "made_s1.cols.xz", tmp_path / "manifest.json"
    path.write_bytes(pack(CROSSED))
    slots = slots_of(meb.read(path))
    reports = "0,0,1,1,100,5\n0,1,0,2,100,7\n1,1,100,5,1,2\n4,2,1"
    expected = hashlib.sha256(reports.encode()).hexdigest()
    found = [meb.verify(meb.read(path), slots)]
    for sha256 in (expected, "0" * 64):
        manifest.write_text(json.dumps({"made": {"reports_sha256": sha256}}))
        found.append(meb.verify(meb.read(path), slots))
    assert [result.reports_sha256 for result in found] == [expected] * 3
    assert [result.expected_sha256 for result in found] == [None, expected, "0" * 64]
    assert [result.ok for result in found] == [False, True, False]
    assert found[1].report(0.5) == {
        "messages": 3,
        "reports": 4,
        "reports_sha256": expected,
        "expected_sha256": expected,
        "messages_per_s": 6.0,
        "ok": True,
    }


def test_order_ids_that_were_not_foretold_are_noticed() -> None:
    plan = meb.make_plan(CROSSED)
    slots = slots_of(plan)
    slots.view(EVENT)[:, 0]["order_id"] += 1
    result = meb.verify(plan, slots)
    assert (result.ok, result.reports_sha256) == (False, None)
    assert "the engine's order ids are not dense from 1: cancels hit other orders" in result.lines


def test_commands_name_the_latest_order_of_an_id() -> None:
    plan = meb.make_plan(MIXED)
    never = meb.NEVER_ISSUED
    assert plan.commands["order_id"].tolist() == [0, 0, 0, 3, 2]
    only_cancels = workload((1, 0, 0, 0, 9, 0), (2, 0, 0, 1, 0, 5))
    assert meb.make_plan(only_cancels).commands["order_id"].tolist() == [never + 9, never]


@pytest.mark.parametrize("content", [b"", b"hello", lzma.compress(b"12345"), lzma.compress(b"")])
def test_what_is_no_workload_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "made.cols.xz"
    path.write_bytes(content)
    with pytest.raises(ReplayError, match=r"made\.cols\.xz"):
        FORMATS["meb"].read(path)


def test_plans_are_what_the_venue_takes() -> None:
    plan = meb.make_plan(CROSSED)
    assert len(venue_of(plan).run(commands_of(plan))) == 5
