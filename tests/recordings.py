"""Recordings of sessions made by hand, in the words of the feed, and the commands made of them."""

from engine.messages import CommandKind, Phase, Side, TimeInForce
from tools.replay import databento, mbo
from tools.replay.databento import F_LAST, F_SNAPSHOT, Message, Recording
from tools.replay.session import OWNER, TAKER


def recording(*events: str) -> Recording:
    """One event for each text: messages such as "A B 7 100 5" (action, side, order, price, lots).

    Sides are B for bids, A for asks and N for none. The first event is the snapshot.
    """
    messages: list[Message] = []
    for event, text in enumerate(events):
        rows = [row.split() for row in text.split(", ")]
        for position, (action, side, order_id, price, lots) in enumerate(rows, start=1):
            flags = F_LAST * (position == len(rows)) | F_SNAPSHOT * (event == 0)
            numbers = (int(order_id), int(price), int(lots), flags)
            messages.append(Message(len(messages) + 1, action, databento.SIDES[side], *numbers))
    return Recording("TEST", "0.25", messages)


def plan_of(*events: str) -> mbo.MboPlan:
    return mbo.make_plan(recording(*events), "test")


def sent(plan: mbo.MboPlan) -> list[str]:
    """The commands in short."""
    found = []
    for row in plan.commands:
        what, name = CommandKind(row["kind"]).name, row["client_order_id"].decode()
        if what == "PHASE":
            found.append(f"PHASE {Phase(row['phase']).name}")
            continue
        if row["time_in_force"] == TimeInForce.IOC:
            what, name = "IOC", Side(row["side"]).name
            assert row["account"] == TAKER
        else:
            assert row["account"] == OWNER
        tail = "" if what == "CANCEL" else f" {row['qty_lots']} at {row['price_ticks']}"
        found.append(f"{what} {name}{tail}")
    return found
