"""The C++ port of the books: the same events as the engine; what is said where it is missing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.messages import (
    CommandFlag,
    CommandKind,
    EventKind,
    OrderType,
    RejectReason,
    TimeInForce,
)
from ipc import memory
from ipc.jit import INTERPRETED
from tools.bench import direct, native
from tools.bench.errors import BenchFailed
from tools.bench.native import Native, NoNative, build, must_be_identical
from tools.bench.passes import in_process
from tools.bench.workloads import DECISION

pytestmark = [
    pytest.mark.system,
    pytest.mark.usefixtures("lazy_pages"),
    pytest.mark.skipif(INTERPRETED, reason="compares compiled code"),
]
COUNT = 70_000
"""More than are compared in one go."""


def random_decisions(seed: int, count: int = COUNT) -> Any:
    """Plain commands of every kind, also such as nobody would send, in three books near a price."""
    random = np.random.default_rng(seed)

    def some(*of: int, share: list[float] | None = None) -> Any:
        return random.choice(of, count, p=share)

    made = np.zeros(count, DECISION)
    made["sequence"] = np.arange(1, count + 1)
    made["kind"] = some(
        CommandKind.NEW, CommandKind.CANCEL, CommandKind.AMEND, share=[0.5, 0.3, 0.2]
    )
    new = made["kind"] == CommandKind.NEW
    ids = np.cumsum(new)
    made["order_id"] = np.where(new, ids, np.maximum(ids - random.integers(0, 300, count), 1))
    # A change names the account and the instrument of its order, nearly always.
    made["account"] = made["order_id"] % 3 + 1 + (random.random(count) < 0.01)
    made["instrument"] = made["order_id"] % 7 % 3 + (random.random(count) < 0.01)
    made["side"], made["order_type"] = some(0, 1), some(1, 2, share=[0.97, 0.03])
    made["order_type"][made["order_type"] == 2] = OrderType.MARKET
    lives = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
    made["time_in_force"] = some(*lives, share=[0.8, 0.1, 0.1])
    flags = random.integers(0, 8, count)
    made["flags"] = np.where(new, flags & CommandFlag.POST_ONLY, flags)
    spread = np.where(random.random(count) < 0.02, 100_000, 200)
    made["price_ticks"] = random.integers(-spread, spread)
    made["qty_lots"] = random.integers(1, 60, count)
    # Most amendments keep the price, and some of these the quantity: they keep their place.
    keeps = np.flatnonzero(~new & (random.random(count) < 0.6) & (made["order_id"] <= ids))
    named = np.flatnonzero(new)[made["order_id"][keeps] - 1]
    made["price_ticks"][keeps] = made["price_ticks"][named]
    made["qty_lots"][keeps] = np.maximum(
        made["qty_lots"][named] - random.integers(0, 3, len(keeps)), 1
    )
    made["reason"] = some(0, RejectReason.PRICE_COLLAR, share=[0.99, 0.01])
    made["source"], made["source_sequence"] = some(0, 1, 2), random.integers(0, 1 << 40, count)
    made["time_ns"] = np.cumsum(random.integers(0, 1000, count))
    made["client_order_id"] = [b"client-%d" % number for number in range(count)]
    return made


def region_of(stream: Any) -> memory.Region:
    region = memory.allocate(stream.nbytes, "test.decisions")
    region.view[:] = stream.tobytes()
    return region


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Native:
    try:
        return build(tmp_path_factory.mktemp("native"))
    except NoNative as error:
        pytest.skip(str(error))


@pytest.fixture
def decisions() -> Iterator[memory.Region]:
    region = region_of(random_decisions(7))
    yield region
    memory.forget(region)


def test_every_event_is_equal_byte_for_byte(port: Native, decisions: memory.Region) -> None:
    assert must_be_identical(port, decisions, COUNT) > COUNT


def test_a_pass_does_what_the_engine_does(port: Native, decisions: memory.Region) -> None:
    theirs, ours = port.play(decisions, COUNT), in_process(decisions, COUNT)
    assert (theirs.trades, theirs.resting) == (ours.trades, ours.resting)
    assert theirs.trades > COUNT // 10
    assert theirs.resting > 100


def test_the_calls_alone_do_so_too() -> None:
    stream = random_decisions(8)
    stream["reason"] = RejectReason.NONE  # the plain path is for accepted ones
    decisions = region_of(stream)
    direct.must_agree(decisions, COUNT)
    ours = in_process(decisions, COUNT)
    for loop in direct.LOOPS.values():
        alone = direct.run(loop, decisions, COUNT)
        assert (alone.trades, alone.resting) == (ours.trades, ours.resting)
    memory.forget(decisions)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("(taker.leaves_lots == 0 ? EventFlag::LAST : 0)", "EventFlag::LAST"),
        ("event.time_ns = cause.time_ns", "event.time_ns = 0"),
        ("event.maker_account = maker.account", "event.maker_account = 0"),
        ("leaves <= order.leaves_lots &&", "leaves < order.leaves_lots &&"),
    ],
)
def test_a_port_that_does_otherwise_is_noticed(
    right: str,
    wrong: str,
    decisions: memory.Region,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = native.SOURCE.read_text()
    assert right in source
    changed = tmp_path / "native_book.cpp"
    changed.write_text(source.replace(right, wrong))
    monkeypatch.setattr(native, "SOURCE", changed)
    try:
        other = build(tmp_path)
    except NoNative as error:
        pytest.skip(str(error))
    with pytest.raises(BenchFailed, match=r"native: (event|decisions)"):
        must_be_identical(other, decisions, COUNT)


def test_what_a_slot_holds_beyond_its_event_is_not_compared() -> None:
    mask = native.compared_bytes()
    assert mask[EventKind.TRADE].sum() == mask[EventKind.ACCEPTED].sum()
    assert mask[EventKind.CANCELED].sum() < mask[EventKind.TRADE].sum()
    assert not mask[:, :8].any()  # sequence


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "COMPILERS", ("no-such-compiler",))
    with pytest.raises(NoNative, match=r"no C\+\+ compiler \(no-such-compiler\)"):
        build(tmp_path)


def test_outside_of_a_checkout_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "SOURCE", tmp_path / "native_book.cpp")
    with pytest.raises(NoNative, match="is not here: measure in a checkout"):
        build(tmp_path)


def test_a_compiler_that_fails_is_quoted(
    port: Native, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "native_book.cpp"
    broken.write_text('#error "as it must"')
    monkeypatch.setattr(native, "SOURCE", broken)
    with pytest.raises(NoNative, match="as it must"):
        build(tmp_path)
