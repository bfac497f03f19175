"""Streams become short without becoming other streams."""

from engine.messages import CommandKind, EventKind
from tests.bulk_streams import LISTS, bulk
from tests.compare import first_difference
from tests.reduction import as_text, is_filler, reduce, thinned
from tools.twin import Command


def test_what_is_kept_keeps_its_order_ids() -> None:
    stream = bulk(3, 300, LISTS, 2)
    cancels = [
        place for place, each in enumerate(stream.commands) if each.kind == CommandKind.CANCEL
    ]
    target = stream.commands[cancels[-1]].order_id
    born = next(event for event in stream.events if event.order_id == target)
    kept = [born.dseq - 1, cancels[-1]]
    answers = stream.market.venue().run(thinned(stream, kept))
    mine = [event for event in answers if event.order_id == target]
    assert mine[0].kind == EventKind.ACCEPTED
    assert (mine[0].account, mine[0].price_ticks) == (born.account, born.price_ticks)
    assert answers[-1].order_id == target


def test_only_what_matters_is_left() -> None:
    stream = bulk(4, 400, LISTS, 1)
    triggered = next(each for each in stream.events if each.kind == EventKind.TRIGGERED)

    def wakes(commands: list[Command]) -> bool:
        events = stream.market.venue().run(commands)
        found = (EventKind.TRIGGERED, triggered.order_id)
        return found in [(each.kind, each.order_id) for each in events]

    few = reduce(stream, wakes)
    assert wakes(few)
    told = [command for command in few if not is_filler(command)]
    assert len(told) <= 6, [as_text(command) for command in told]
    assert [command.sequence for command in few] == list(range(1, len(few) + 1))


def test_a_difference_is_told() -> None:
    events = bulk(5, 50, LISTS, 1).events
    assert first_difference(events, events) == ""
    changed = [*events[:7], events[7]._replace(price_ticks=77), *events[8:]]
    assert "(price_ticks)" in first_difference(changed, events)
    assert "the twin has" not in first_difference(changed, events)
    assert f"has {len(events) - 1} events" in first_difference(events[:-1], events)
