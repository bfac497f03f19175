"""Compares what clients were told with what has happened, and with what the venue says."""

import http.client
import json
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from engine.config import Config, load
from engine.durability.errors import DurabilityError
from engine.matching import MatchingState
from engine.venue import segment_name
from ipc.record import fingerprint
from tools.sample import attached
from tools.torture.errors import TortureFailed
from tools.torture.patient import CONFIG, Patient
from tools.torture.record import (
    Acknowledged,
    Canceled,
    Fact,
    Failed,
    Filled,
    Refused,
    Wrong,
)
from tools.torture.truth import Truth

VIOLATIONS: Final = (
    "lost_acknowledged",
    "duplicate_fills",
    "hash_mismatches",
    "answers_changed",
    "fills_taken_back",
    "fills_not_true",
    "balances_wrong",
    "journal_errors",
)
"""What is counted; each must be 0."""

PROBLEMS_KEPT: Final = 50
"""Texts that a result carries; more of them say nothing new."""

QUIET_SECONDS_MAX: Final = 20.0
"""A venue that nobody sends anything but TICKs is quiet long before."""

QUIET_SECONDS: Final = 0.02
PAGE: Final = 1000


class Auditor:
    """Takes facts as they come, and judges them whenever the venue is quiet."""

    def __init__(self, data: Path) -> None:
        """`data`: the folder of the venue."""
        self.data = data
        self.config: Config = load(CONFIG)
        self.truth: Truth | None = None
        self.found: Counter[str] = Counter()
        self.problems: list[str] = []
        self.unanswered: Counter[str] = Counter()
        "Requests that had to be sent again, by reason."
        self.acknowledged: dict[tuple[int, str], Acknowledged] = {}
        "Of each order the newest answer."
        self.told: dict[tuple[int, int], int] = {}
        "Sequence by which a fill was told, by order and match."
        self.canceled: list[Canceled] = []
        self.refused: list[Refused] = []
        self.fills: list[Filled] = []
        self.unjudged: list[Acknowledged] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            Acknowledged: self._take_acknowledged,
            Canceled: self.canceled.append,
            Refused: self.refused.append,
            Filled: self._take_fill,
            Wrong: lambda fact: self.wrong(fact.what, fact.text),
            Failed: lambda fact: self.unanswered.update([fact.why]),
        }

    def wrong(self, what: str, text: str) -> None:
        """Count what must not be."""
        assert what in VIOLATIONS, f"unknown violation {what!r}"
        self.found[what] += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(f"{what}: {text}")

    # --- facts -----------------------------------------------------------------------------------

    def take(self, facts: list[Fact]) -> None:
        """Remember what clients were told."""
        for fact in facts:
            self._handlers[type(fact)](fact)

    def _take_acknowledged(self, fact: Acknowledged) -> None:
        key = (fact.account, fact.client_order_id)
        before = self.acknowledged.get(key)
        if before is not None and before.order_id != fact.order_id:
            self.wrong("answers_changed", f"{key} was order {before.order_id}: {fact}")
        self.acknowledged[key] = fact
        self.unjudged.append(fact)

    def _take_fill(self, fact: Filled) -> None:
        key = (fact.order_id, fact.match_id)
        before = self.told.setdefault(key, fact.sequence)
        if before != fact.sequence:  # the same event told again by a late gateway is no second fill
            self.wrong("duplicate_fills", f"told at event {before}, too: {fact}")
        self.fills.append(fact)

    # --- judging ---------------------------------------------------------------------------------

    def judge_running(self, patient: Patient) -> None:
        """Judge all facts so far; the venue is ready, and no client's request is under way."""
        try:
            self._follow_quiet(patient)
        except DurabilityError as error:
            self.wrong("journal_errors", str(error))
            raise TortureFailed(f"the journal cannot be followed: {error}") from error
        self._judge_facts()
        self._judge_venue(patient)

    def judge_ended(self) -> None:
        """Judge everything once more, by the whole journal of a venue that has ended."""
        if self.truth is not None:
            self.truth.free()
        self.truth = Truth(self.data)
        try:
            self.truth.follow(None)
        except DurabilityError as error:
            self.wrong("journal_errors", str(error))
            return
        self.unjudged = list(self.acknowledged.values())
        self._judge_facts()

    def _follow_quiet(self, patient: Patient) -> None:
        if self.truth is None:
            self.truth = Truth(self.data)
        deadline = time.monotonic() + QUIET_SECONDS_MAX
        while True:
            decided, state_hash = live_state(patient.name)
            sample = patient.sample()
            durable = None if sample is None else sample.durable_dseq
            time.sleep(QUIET_SECONDS)
            known = durable is not None and durable >= decided
            if known and live_state(patient.name) == (decided, state_hash):
                break
            if time.monotonic() > deadline:
                raise TortureFailed(f"{decided} decisions are taken, {durable} durable, no quiet")
        self.truth.follow(durable, decided)
        if (self.truth.dseq, self.truth.state_hash) != (decided, state_hash):
            self.wrong(
                "hash_mismatches",
                f"at decision {decided} the venue has {state_hash:016x}, the journal makes "
                f"{self.truth.state_hash:016x} at {self.truth.dseq}",
            )

    def _judge_facts(self) -> None:
        truth = self.truth
        assert truth is not None
        for text in truth.duplicates:
            self.wrong("duplicate_fills", text)
        truth.duplicates.clear()
        for fact in self.unjudged:
            self._judge_order(truth, fact)
        for cancel in self.canceled:
            order = truth.orders.get(cancel.order_id)
            if order is None or order.open or order.filled != cancel.filled:
                self.wrong("lost_acknowledged", f"{cancel}: the journal has {order}")
        for refusal in self.refused:
            if (refusal.account, refusal.client_order_id) in truth.names:
                self.wrong("answers_changed", f"{refusal}: it was accepted")
        for fill in self.fills:
            match = truth.matches.get(fill.match_id)
            if (
                match is None
                or fill.order_id not in (match.taker, match.maker)
                or (fill.quantity, fill.price_ticks) != (match.lots, match.price_ticks)
            ):
                self.wrong("fills_not_true", f"{fill}: the journal has {match}")
        for judged in (self.unjudged, self.canceled, self.refused, self.fills):
            judged.clear()

    def _judge_order(self, truth: Truth, fact: Acknowledged) -> None:
        order_id = truth.names.get((fact.account, fact.client_order_id))
        order = truth.orders.get(fact.order_id)
        if order_id != fact.order_id or order is None:
            self.wrong("lost_acknowledged", f"{fact}: the journal has {order_id}")
        elif order.lots != fact.quantity or order.filled < fact.filled:
            self.wrong("lost_acknowledged", f"{fact}: the journal has {order}")

    # --- what the venue says ---------------------------------------------------------------------

    def _judge_venue(self, patient: Patient) -> None:
        """Its open orders and balances are those that follow from the journal."""
        host, _, port = patient.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        try:
            for account in self.config.accounts:
                self._judge_open_orders(connection, account.number)
                self._judge_account(connection, account)
        finally:
            connection.close()

    def _judge_open_orders(self, connection: http.client.HTTPConnection, account: int) -> None:
        assert self.truth is not None
        shown: dict[int, int] = {}
        more, after = True, 0
        while more:
            page = _get(connection, f"/api/v1/orders?account={account}&limit={PAGE}&after={after}")
            shown |= {each["order_id"]: int(each["filled_quantity"]) for each in page["orders"]}
            more, after = page["more"], max(shown, default=0)
        expected = {key: order.filled for key, order in self.truth.open_orders(account).items()}
        for order_id in expected.keys() | shown.keys():
            true, seen = expected.get(order_id), shown.get(order_id)
            if true != seen:
                text = f"open order {order_id} of account {account}: filled {true} by the journal, "
                self.wrong("lost_acknowledged", text + f"{seen} by GET /orders (None: not open)")

    def _judge_account(self, connection: http.client.HTTPConnection, account: Any) -> None:
        assert self.truth is not None
        number = account.number
        document = _get(connection, f"/api/v1/accounts/{number}")
        shown = {each["asset"]: Decimal(each["total"]) for each in document["balances"]}
        for index, asset in enumerate(self.config.assets):
            units = dict(account.balances).get(index, 0)
            units += self.truth.paid.get(number, 0) if index == 0 else 0
            for place, instrument in enumerate(self.config.instruments):
                if instrument.base_asset_index == index:
                    units += self.truth.owned.get((number, place), 0)
            expected = Decimal(units) / 10**asset.decimals
            if shown.get(asset.name) != expected:
                self.wrong(
                    "balances_wrong",
                    f"account {number} has {shown.get(asset.name)} {asset.name}, its fills make "
                    f"{expected}",
                )


def live_state(venue: str) -> tuple[int, int]:
    """The last decision that matching has taken, and its hash."""
    name = segment_name(venue, "state.matching")
    with attached(name, MatchingState.size, fingerprint(MatchingState)) as segment:
        state = MatchingState(segment.address)
        return state.decided, state.state_hash % (1 << 64)


def _get(connection: http.client.HTTPConnection, path: str) -> Any:
    connection.request("GET", path)
    answer = connection.getresponse()
    raw = answer.read()
    if answer.status != 200:
        raise TortureFailed(f"GET {path} got {answer.status} from a venue that is ready: {raw!r}")
    return json.loads(raw)
