"""meb: workloads of the public Matching Engine Algorithm Performance Challenge.

A workload is a stream of new, cancel and modify messages for one symbol; the challenge publishes
the SHA-256 of the report lines that a correct engine gives. A file holds the messages as packed
columns (`.cols.xz`); a `manifest.json` beside it holds the hashes. All orders are of one account.

The engine numbers orders itself, densely, in the order of the NEW commands of their only source.
So a plan can name the order of every cancel and modify by its engine id before anything runs;
`verify` checks each acceptance against that forecast.
"""

import hashlib
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from engine.messages import (
    ChangeEvent,
    CommandFlag,
    CommandKind,
    EventKind,
    OrderType,
    TimeInForce,
    TradeEvent,
    slot_dtype,
)
from tools.replay.errors import FileFormatError
from tools.replay.plan import (
    COMMAND,
    EVENT,
    Plan,
    Result,
    Table,
    asset,
    rich_account,
    stream_faults,
    unlimited,
)

TRADER: Final = 1
"""Number of the account that sends everything."""

TICK: Final = "0.005"
"""Price step of the challenge."""

MESSAGE_BYTES: Final = 10
"""Of one message in a file, over all columns."""

NEVER_ISSUED: Final = 1 << 40
"""Cancels of an id that no order has name this plus the id: the engine's ids stay below."""

REPORTS_AT_ONCE: Final = 1 << 16
"""Report lines that are made in one go: bounds the memory that text takes."""

TRADE: Final = slot_dtype(TradeEvent)
CHANGE: Final = slot_dtype(ChangeEvent)

# Types of report lines, in the order in which they stand under one message.
ACK, FILL, CANCEL_ACK, MODIFY_ACK, CANCEL_REJECT, MODIFY_REJECT = range(6)

REPORT_OF: Final = {
    EventKind.ACCEPTED: ACK,
    EventKind.TRADE: FILL,
    EventKind.CANCELED: CANCEL_ACK,
    EventKind.REPLACED: MODIFY_ACK,
    EventKind.CANCEL_REJECTED: CANCEL_REJECT,
    EventKind.REPLACE_REJECTED: MODIFY_REJECT,
}

NUMBERS_OF: Final = (6, 6, 5, 6, 3, 3)
"""How many numbers a report line of each type has."""

Columns = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Messages:
    """A workload as columns; `kind` is 0 new, 1 cancel, 2 modify."""

    kind: Columns
    side: Columns
    ioc: Columns
    qty: Columns
    order_id: Columns
    price_ticks: Columns

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True)
class MebPlan(Plan):
    """The commands, and what report lines say that commands and events do not."""

    message_ids: Columns
    "The challenge's order id in each message."
    issued_ids: Columns
    "The challenge's id of each order, by engine id - 1."
    expected_sha256: str | None
    "Published hash of the report lines; None when no manifest names this file."


@dataclass(frozen=True)
class MebResult(Result):
    """The report stream that the events make, by its hash."""

    messages: int
    reports: int
    reports_sha256: str | None
    "None when the events are not fit to make reports of."
    expected_sha256: str | None
    rate_of: ClassVar[str] = "messages"


def read(path: Path) -> MebPlan:
    """The plan of a `.cols.xz` file. FileFormatError when it is not one."""
    return make_plan(unpack(path), _published(path))


def unpack(path: Path) -> Messages:
    """Unpack a file: flags, quantities, and byte planes of order ids and prices."""
    try:
        raw = np.frombuffer(lzma.decompress(path.read_bytes()), np.uint8)
    except lzma.LZMAError as error:
        raise FileFormatError(f"{path}: not a packed workload: {error}") from None
    count, rest = divmod(len(raw), MESSAGE_BYTES)
    if rest or not count:
        raise FileFormatError(f"{path}: {len(raw)} bytes are not whole messages of {MESSAGE_BYTES}")
    planes = raw.reshape(MESSAGE_BYTES, count)
    flags = planes[0].astype(np.int64)
    words = np.ascontiguousarray(planes[2:].reshape(2, 4, count).transpose(0, 2, 1))
    return Messages(
        kind=flags & 3,
        side=flags >> 2 & 1,
        ioc=flags >> 3 & 1,
        qty=planes[1].astype(np.int64),
        order_id=words[0].view("<u4")[:, 0].astype(np.int64),
        price_ticks=words[1].view("<i4")[:, 0].astype(np.int64),
    )


def _published(path: Path) -> str | None:
    """The hash that a manifest beside the file gives for it: `normal` for `normal_s23.cols.xz`."""
    manifest = path.with_name("manifest.json")
    if not manifest.exists():
        return None
    scenario = path.name.partition(".")[0].rpartition("_")[0]
    found: str | None = json.loads(manifest.read_text()).get(scenario, {}).get("reports_sha256")
    return found


def make_plan(messages: Messages, expected_sha256: str | None = None) -> MebPlan:
    """The plan of a workload that is in memory."""
    new, cancel, modify = (messages.kind == kind for kind in range(3))
    if not (new | cancel | modify).all():
        raise FileFormatError("a message is neither new, cancel nor modify")
    commands = np.zeros(len(messages), COMMAND)
    kinds = np.array([CommandKind.NEW, CommandKind.CANCEL, CommandKind.AMEND])
    commands["kind"] = kinds[messages.kind]
    commands["account"] = TRADER
    commands["side"] = np.where(cancel, 0, messages.side)
    commands["order_type"] = np.where(new, OrderType.LIMIT, 0)
    lives = np.where(messages.ioc == 1, TimeInForce.IOC, TimeInForce.GTC)
    commands["time_in_force"] = np.where(new, lives, 0)
    commands["flags"] = np.where(modify, CommandFlag.LEAVES | CommandFlag.REQUEUE, 0)
    commands["price_ticks"] = np.where(cancel, 0, messages.price_ticks)
    commands["qty_lots"] = np.where(cancel, 0, messages.qty)
    commands["order_id"] = np.where(new, 0, _engine_ids(messages, new))
    assets = (asset("SHARE", 0), asset("CASH", 3))
    instrument: Table = {
        "symbol": "MEB",
        "base": "SHARE",
        "quote": "CASH",
        "tick": TICK,
        "lot": "1",
    }
    return MebPlan(
        commands=commands,
        assets=assets,
        instruments=(instrument | unlimited("1", *assets),),
        accounts=(rich_account(TRADER, "challenger", assets),),
        message_ids=messages.order_id,
        issued_ids=messages.order_id[new],
        expected_sha256=expected_sha256,
    )


def _engine_ids(messages: Messages, new: npt.NDArray[np.bool_]) -> Columns:
    """For each message the engine id of the latest order of that id so far."""
    # One sorted key holds both id and position: the latest earlier NEW of an id is the
    # greatest key that is not above the message's own.
    count = len(messages)
    position = np.arange(count)
    keys = messages.order_id * count + position
    new_keys = keys[new]
    ranks = np.argsort(new_keys)
    found = np.searchsorted(new_keys[ranks], keys, side="right") - 1
    latest = ranks[np.maximum(found, 0)] if len(ranks) else np.zeros(count, np.int64)
    if len(ranks):
        known = (found >= 0) & (messages.order_id[new][latest] == messages.order_id)
    else:
        known = np.zeros(count, bool)
    return np.where(known, latest + 1, NEVER_ISSUED + messages.order_id)


def verify(plan: MebPlan, slots: npt.NDArray[np.uint8]) -> MebResult:
    """Make the challenge's report lines from the events, and hash them."""
    faults = stream_faults(len(plan.commands), slots)
    digest, reports = hashlib.sha256(), 0
    if not faults:
        faults += _forecast_faults(plan, slots)
    if not faults:
        for lines in report_lines(plan, slots):
            digest.update(("\n" if reports else "").encode() + "\n".join(lines).encode())
            reports += len(lines)
    found = digest.hexdigest() if reports else None
    if plan.expected_sha256 is None:
        faults.append("no manifest.json beside the file names its hash: nothing to compare with")
    elif found != plan.expected_sha256:
        faults.append("the report stream is not the published one")
    return MebResult(
        ok=not faults,
        lines=tuple(faults),
        messages=len(plan.commands),
        reports=reports,
        reports_sha256=found,
        expected_sha256=plan.expected_sha256,
    )


def _forecast_faults(plan: MebPlan, slots: npt.NDArray[np.uint8]) -> list[str]:
    """Whether the engine numbered the orders as foretold and took them all."""
    events = slots.view(EVENT)[:, 0]
    accepted = events[events["kind"] == EventKind.ACCEPTED]
    sent = np.flatnonzero(plan.commands["kind"] == CommandKind.NEW) + 1
    if not np.array_equal(accepted["source_sequence"], sent):
        return [f"{len(accepted)} of {len(sent)} orders were accepted"]
    if not np.array_equal(accepted["order_id"], np.arange(1, len(sent) + 1)):
        return ["the engine's order ids are not dense from 1: cancels hit other orders"]
    return []


def report_lines(plan: MebPlan, slots: npt.NDArray[np.uint8]) -> Iterator[list[str]]:
    """The report lines in order, some at a time."""
    kinds = slots.view(EVENT)[:, 0]["kind"]
    types = np.full(256, -1)
    types[list(REPORT_OF)] = list(REPORT_OF.values())
    rows = np.flatnonzero(types[kinds] >= 0)
    messages = slots.view(EVENT)[:, 0]["source_sequence"][rows] - 1
    order = np.lexsort((types[kinds[rows]], messages))
    rows = rows[order]
    for start in range(0, len(rows), REPORTS_AT_ONCE):
        part = np.ascontiguousarray(slots[rows[start : start + REPORTS_AT_ONCE]])
        part_types = types[part.view(EVENT)[:, 0]["kind"]]
        lines = np.empty(len(part), object)
        for report_type, numbers in enumerate(NUMBERS_OF):
            own = part_types == report_type
            columns = _numbers(plan, report_type, np.ascontiguousarray(part[own]))
            form = ",".join(["%d"] * numbers)
            lines[own] = [form % row for row in zip(*columns, strict=True)]
        yield lines.tolist()


def _numbers(plan: MebPlan, report_type: int, slots: npt.NDArray[np.uint8]) -> list[list[int]]:
    """The columns of all report lines of one type."""
    events = slots.view(EVENT)[:, 0]
    message = events["source_sequence"] - 1
    head = [np.full(len(events), report_type), message]
    if report_type in (CANCEL_REJECT, MODIFY_REJECT):
        columns = [*head, plan.message_ids[message]]
    elif report_type == FILL:
        trades = slots.view(TRADE)[:, 0]
        maker = plan.issued_ids[trades["maker_order_id"] - 1]
        taker = plan.issued_ids[trades["order_id"] - 1]
        columns = [*head, trades["price_ticks"], trades["qty_lots"], maker, taker]
    else:
        order_id = plan.issued_ids[events["order_id"] - 1]
        columns = [*head, events["side"], order_id, events["price_ticks"]]
        if report_type == ACK:
            columns.append(events["qty_lots"])
        elif report_type == MODIFY_ACK:
            columns.append(slots.view(CHANGE)[:, 0]["leaves_lots"])
    return [column.tolist() for column in columns]
