"""Recordings of an exchange order by order: what is made of them, and how fills are judged.

Sessions are made by hand, in the words of the feed; events come from the naive venue.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.messages import Side
from ipc.jit import INTERPRETED
from tests.recordings import plan_of, recording, sent
from tests.replays import engine_slots, shared, slots_of
from tools.replay import FORMATS, databento, mbo
from tools.replay.errors import FileFormatError, MissingDecoderError, UnsupportedFileError
from tools.replay.queues import Fill

ESH4 = "cme_mbo/esh4-glbx-mdp3-20231225.mbo.dbn.zst"


def check(plan: mbo.MboPlan) -> mbo.MboResult:
    return mbo.verify(plan, slots_of(plan))


BOOK = "A A 1 102 5, A A 2 102 4, A A 3 103 6, A B 4 99 5, A B 5 99 5"
"""Two asks of 5 and 4 at 102, one of 6 at 103, two bids of 5 at 99."""


def test_a_trade_is_an_order_and_its_confirmations_are_nothing() -> None:
    plan = plan_of(
        BOOK,
        "T B 9 102 5, F A 1 102 5, T B 9 102 1, F A 2 102 1, C A 1 102 5, M A 2 102 3",
        "T A 8 99 1, F B 4 99 1, M B 4 99 4",
    )
    assert sent(plan)[5:] == ["IOC BUY 5 at 102", "IOC BUY 1 at 102", "IOC SELL 1 at 99"]
    result = check(plan)
    assert (result.ok, result.trades_exact, result.trades_checked) == (True, 3, 3)


def test_owners_add_modify_and_cancel() -> None:
    plan = plan_of(
        BOOK, "A B 6 100 2", "M B 4 99 3", "M B 5 99 6", "M A 1 101 5", "M A 1 101 5", "C A 2 102 4"
    )
    assert sent(plan)[5:] == [
        "NEW 6.1 2 at 100",
        "AMEND 4.1 3 at 99",
        "AMEND 5.1 6 at 99",
        "AMEND 1.1 5 at 101",
        "CANCEL 2.1",
    ]
    # Without a trade nothing was proven, but the book must be right.
    result = check(plan)
    assert not result.ok
    assert result.lines[-1] == "0 exact of 0 trades are too few to prove anything"
    assert not [line for line in result.lines if "differ" in line]


def test_losing_priority_is_seen_by_later_trades() -> None:
    plan = plan_of(BOOK, "M A 1 102 6", "T B 9 102 4, F A 2 102 4, C A 2 102 4")
    assert check(plan).trades_exact == 1
    kept = plan_of(BOOK, "M A 1 102 1", "T B 9 102 2, F A 1 102 1, F A 2 102 1, C A 1 102 1")
    assert check(kept).trades_exact == 1


def test_orders_that_an_event_withdraws_unfilled_go_first() -> None:
    plan = plan_of(
        BOOK, "T B 9 102 4, F A 2 102 4, C A 2 102 4, C A 1 102 5", "A B 7 103 1, C A 3 103 6"
    )
    assert sent(plan)[5:] == ["CANCEL 1.1", "IOC BUY 4 at 102", "CANCEL 3.1", "NEW 7.1 1 at 103"]
    assert plan.withdrawn == 1
    assert check(plan).ok


def test_an_aggressor_that_rested_before_leaves_its_place() -> None:
    plan = plan_of(
        BOOK,
        "T B 4 102 3, F B 4 102 3, F A 1 102 3, M B 4 101 2, M A 1 102 2",
        "T B 5 102 2, F B 5 102 5, F A 1 102 2, C B 5 99 5, C A 1 102 2",
    )
    assert sent(plan)[5:] == [
        "AMEND 4.1 2 at 99",
        "IOC BUY 3 at 102",
        "AMEND 4.1 2 at 101",
        "CANCEL 5.1",
        "IOC BUY 2 at 102",
    ]
    assert check(plan).trades_exact == 2


HIDDEN = (
    BOOK,
    # Order 1 shows 5 and gives 8; price-time on what is shown would take 3 from order 2.
    "T B 9 102 8, F A 1 102 8, M A 1 102 5",
    "T B 9 102 5, F A 2 102 4, F A 1 102 1, C A 2 102 4, M A 1 102 4",
)


def test_hidden_quantity_is_explained_and_the_book_put_right() -> None:
    plan = plan_of(*HIDDEN)
    assert sent(plan)[5:] == [
        "IOC BUY 8 at 102",
        "CANCEL 2.1",
        "NEW 2.2 4 at 102",
        "NEW 1.2 5 at 102",
        "IOC BUY 5 at 102",
    ]
    result = check(plan)
    assert (result.trades_exact, result.trades_explained, result.unexplained) == (1, 1, 0)
    assert "hidden quantity: 1 held more than was shown" in " ".join(result.lines)
    assert not result.ok, "one of two is below the share that must be exact"


def test_hidden_quantity_does_not_excuse_who_was_passed_over() -> None:
    # Order 1 held more than 5; still order 2 stood before order 6.
    plan = plan_of(
        f"{BOOK}, A A 6 102 2",
        "T B 9 102 9, F A 1 102 8, F A 6 102 1, C A 1 102 8, M A 6 102 1",
    )
    result = check(plan)
    assert (result.trades_explained, result.unexplained) == (0, 1)


@pytest.mark.parametrize(
    ("event", "hidden"),
    [
        ("T B 9 102 5, F A 1 102 5, M A 1 102 5", {1}),
        ("T B 9 102 2, F A 1 102 2, M A 1 102 4", {1}),
        ("T B 9 102 6, F A 1 102 6, C A 1 102 6", {1}),
        ("T B 9 102 6, F A 1 102 4, F A 1 102 2, C A 1 102 6", {1}),
        ("T B 9 102 2, F A 1 102 2, M A 1 102 3", set()),
        ("T B 9 102 5, F A 1 102 5, C A 1 102 5", set()),
        ("T B 4 102 5, F B 4 102 5, F A 1 102 5, M B 4 102 9, C A 1 102 5", set()),
        ("M A 1 102 9", set()),
    ],
)
def test_orders_that_gave_more_than_they_showed(event: str, hidden: set[int]) -> None:
    assert databento.hidden_orders(recording(BOOK, event).events()) == hidden


def test_an_implied_trade_is_not_sent_and_a_partly_implied_one_is_explained() -> None:
    plan = plan_of(BOOK, "T B 9 102 3", "T B 9 102 7, F A 1 102 5, C A 1 102 5")
    assert [trade.command >= 0 for trade in plan.trades] == [False, True]
    result = check(plan)
    assert (result.trades_exact, result.trades_explained, result.unexplained) == (0, 2, 0)
    lines = " ".join(result.lines)
    assert "implied: no order of this book was filled" in lines
    assert "implied in part: orders of this book gave 5 of 7" in lines
    assert "differ" not in lines


def test_the_same_fills_in_another_order_are_explained() -> None:
    plan = plan_of(BOOK, "T B 9 102 9, F A 2 102 4, F A 1 102 5, C A 2 102 4, C A 1 102 5")
    result = check(plan)
    assert (result.trades_explained, result.unexplained) == (1, 0)
    assert "the same fills, named in another order" in " ".join(result.lines)


def test_what_nothing_explains_is_said_and_the_book_put_right() -> None:
    plan = plan_of(
        BOOK,
        "T B 9 102 4, F A 2 102 4, C A 2 102 4",
        "T B 9 102 5, F A 1 102 5, C A 1 102 5",
    )
    result = check(plan)
    assert (result.trades_exact, result.trades_explained, result.unexplained) == (1, 0, 1)
    assert not result.ok
    line = next(line for line in result.lines if line.startswith("UNEXPLAINED"))
    assert line == (
        "UNEXPLAINED: message 6: bought 4 at 102 ticks, exchange filled 2x4: engine filled 1x4"
    )


def test_an_order_that_would_trade_on_arrival_is_refused() -> None:
    for text in ("A B 7 102 1", "M B 4 103 5"):
        with pytest.raises(UnsupportedFileError, match=r"message 6: order . at 10. ticks would"):
            plan_of(BOOK, text)


def test_a_file_without_a_session_is_refused() -> None:
    with pytest.raises(UnsupportedFileError, match="nothing follows the opening"):
        plan_of(BOOK)


# --- the sample of a CME session -----------------------------------------------------------------


@pytest.fixture(scope="module")
def cme() -> tuple[mbo.MboPlan, Any]:
    pytest.importorskip("databento_dbn", reason="needs okimi[replay]")
    plan = mbo.read(shared(ESH4))
    return plan, slots_of(plan)


CME_RESULT = {
    "messages": 68_792,
    "trades_checked": 2_972,
    "trades_exact": 2_914,
    "trades_explained": 58,
    "unexplained": 0,
    "auction": {
        "simulated": True,
        # Both ends of the tie trade 31; this one leaves 4 lots over, the exchange's 19.
        "price_ticks": 19_200,
        "volume": 31,
        "tie_ticks": (19_200, 19_201),
        "exchange_price_ticks": 19_201,
        "exchange_volume": 44,
        "reconciled_orders": 2,
        "reconciled_lots": 12,
        "reconciling_commands": 2,
    },
    "ok": True,
}
"""What is known of the sample: 8,725 orders, 925 messages before the auction, 2,972 trades."""


def test_the_cme_session_fills_whom_the_exchange_filled(cme: tuple[mbo.MboPlan, Any]) -> None:
    result = mbo.verify(*cme)
    assert result.report(1.0) == CME_RESULT
    assert len([line for line in result.lines if line.startswith("explained: ")]) == 58


@pytest.mark.timeout(600)  # the first to ask for the engine compiles it
@pytest.mark.skipif(INTERPRETED, reason="minutes without the compiler")
def test_the_engine_holds_the_cme_session_from_its_snapshot_on(
    cme: tuple[mbo.MboPlan, Any],
) -> None:
    plan, _ = cme
    assert mbo.verify(plan, engine_slots(plan)).report(1.0) == CME_RESULT


def test_the_exchange_filled_two_orders_more_in_its_auction(
    cme: tuple[mbo.MboPlan, Any],
) -> None:
    auction = cme[0].auction
    assert auction is not None
    # All others of the book have what they had after the exchange's auction.
    assert auction.differences == (
        (Side.SELL, 6412777154418, 6, 0),
        (Side.SELL, 6412777154604, 6, 0),
    )
    assert auction.implied_lots == (13, 1)
    assert auction.crossing.surplus_lots(19_200) == 4
    assert auction.crossing.surplus_lots(19_201) == -19


def test_one_wrong_fill_is_found(cme: tuple[mbo.MboPlan, Any]) -> None:
    plan, slots = cme
    slots = slots.copy()
    trades = slots.view(mbo.TRADE)[:, 0]
    exact = next(trade for trade in plan.trades if not trade.reason)
    row = np.flatnonzero((trades["kind"] == 3) & (trades["source_sequence"] == exact.command + 1))
    trades["maker_order_id"][row[0]] += 1
    result = mbo.verify(plan, slots)
    assert (result.trades_exact, result.unexplained, result.ok) == (2_913, 1, False)


def test_a_foreseen_difference_excuses_only_what_was_foreseen(
    cme: tuple[mbo.MboPlan, Any],
) -> None:
    plan, slots = cme
    other = tuple(
        dataclasses.replace(trade, foreseen=(Fill(1, 1),)) if trade.reason else trade
        for trade in plan.trades
    )
    result = mbo.verify(dataclasses.replace(plan, trades=other), slots)
    assert (result.trades_explained, result.unexplained, result.ok) == (0, 58, False)


def test_a_wrong_level_at_the_end_is_found(cme: tuple[mbo.MboPlan, Any]) -> None:
    plan, slots = cme
    levels = dict(plan.levels)
    levels.popitem()
    result = mbo.verify(dataclasses.replace(plan, levels=levels), slots)
    assert not result.ok
    assert result.lines[-1] == "1 price levels differ from the exchange's at the end"


# --- files that are none -------------------------------------------------------------------------


def test_without_the_decoder_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "databento_dbn", None)
    with pytest.raises(MissingDecoderError, match=r"pip install 'okimi\[replay\]'"):
        FORMATS["mbo"].read(tmp_path / "any.dbn")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x28\xb5\x2f\xfdhello", b"DBN\x03\x00"], ids=repr
)
def test_what_is_no_recording_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("databento_dbn", reason="needs okimi[replay]")
    path = tmp_path / "made.dbn"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=r"made\.dbn"):
        mbo.read(path)


@pytest.mark.parametrize("kept", [100, 498_619])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, kept: int) -> None:
    pytest.importorskip("databento_dbn", reason="needs okimi[replay]")
    path = tmp_path / "cut.dbn.zst"
    path.write_bytes(shared(ESH4).read_bytes()[:kept])
    with pytest.raises(FileFormatError, match=r"cut\.dbn\.zst: ends within a record"):
        mbo.read(path)
