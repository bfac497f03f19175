"""All settings in turn, round after round: what an order costs the risk stage, and its end."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from rich.console import Console

from engine.messages import RejectReason
from engine.topology import usable_cores
from tools.bench.errors import BenchFailed
from tools.bench.ring.placement import host_facts
from tools.bench.risk.load import ACCOUNTS, Setting, all_positions, draw_intents, make_config
from tools.bench.risk.stand import CANCEL, FILL, STAY, RiskStand, copy_blocks, play_blocks
from tools.bench.risk.whole import Whole
from tools.bench.series import Series
from tools.bench.undisturbed import permitted, undisturbed
from tools.run import progress_bar

SYMBOLS: Final = (1, 100)

NOT_INCLUDED: Final = (
    "waiting for commands: a backlog is there",
    "moving the message, in figures that are called check: copying it alone is beside them",
    "amendments, cancels and orders without a limit price",
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure; tests take less."""

    accounts: int = ACCOUNTS
    block: int = 8_192
    "Orders that wait when the clock starts."
    blocks: int = 16
    "Blocks of a round, for each setting and each end of its orders."
    symbols: tuple[int, ...] = SYMBOLS
    whole_warm_up: int = 200_000
    whole_commands: int = 300_000
    "Commands of a round through the whole engine."


@dataclass
class Lane:
    """A setting with its stand, and what was measured of it."""

    setting: Setting
    stand: Any
    stage: Series = field(default_factory=Series)
    "ns of an order in the stage, with moving the message, after trades that moved all marks."
    steady: Series = field(default_factory=Series)
    "The same while no mark moves."
    cancel: Series = field(default_factory=Series)
    "ns of the event that an order was cancelled."
    fill: Series = field(default_factory=Series)
    "ns of a trade, divided by its two orders."

    def play(self, blocks: int, ends: int) -> tuple[float, float]:
        """Some blocks: ns an order to decide it, and to apply its end."""
        stand = self.stand
        stand.decide_ns = stand.apply_ns = 0
        play_blocks(stand, blocks, ends)
        orders = blocks * stand.block
        return stand.decide_ns / orders, stand.apply_ns / orders

    def round(self, blocks: int, counts: bool) -> None:
        """One round: orders that are cancelled, then orders that trade."""
        core = usable_cores()[-1]
        with undisturbed(core):
            steady, cancel = self.play(blocks, CANCEL)
        with undisturbed(core):
            stage, fill = self.play(blocks, FILL)
        must_have_passed(self)
        if counts:
            self.stage.rates.append(stage)
            self.steady.rates.append(steady)
            self.cancel.rates.append(cancel)
            self.fill.rates.append(fill)

    def report(self, copy_ns: float) -> dict[str, Any]:
        """The setting's row; a check is the stage less what moving the message takes."""
        return {
            "name": self.setting.name,
            "kind": self.setting.kind,
            "checks": self.setting.checks,
            "symbols": self.setting.symbols,
            **self.stage.less(copy_ns).report("check_ns", 1),
            **self.steady.less(copy_ns).report("steady_ns", 1),
            **self.stage.report("stage_ns", 1),
            **self.cancel.report("cancel_ns", 1),
            **self.fill.report("fill_ns", 1),
        }


def must_have_passed(lane: Lane) -> None:
    """Raises BenchFailed if risk refused an order: the figures would be those of a refusal."""
    state = lane.stand.state
    if state.refused or state.accepted != lane.stand.sequence:
        reasons = [RejectReason(at).name for at, many in enumerate(state.reasons) if many]
        raise BenchFailed(
            f"{lane.setting.name}: {state.refused} of {lane.stand.sequence} orders were refused: "
            f"{', '.join(reasons) or 'no reason'}"
        )


def make_lane(setting: Setting, effort: Effort) -> Lane:
    """A stand where each account has a position and a live order in each instrument."""
    stand = RiskStand.make(make_config(setting, "bench-risk"), effort.block)
    lane = Lane(setting, stand)
    opening = all_positions(setting, effort.block)
    stand.use(opening)
    for ends in (FILL, STAY):
        lane.play(len(opening) // effort.block, ends)
    must_have_passed(lane)
    stand.use(draw_intents(setting, effort.block, effort.blocks))
    return lane


def settings(effort: Effort) -> list[Setting]:
    """Everything that is measured in the stage alone."""
    return [
        Setting(kind, checks, symbols, effort.accounts)
        for kind, checks in (("cash", True), ("margin", True), ("cash", False))
        for symbols in effort.symbols
    ]


@dataclass
class Copying:
    """The reference: commands that are moved and not decided."""

    stand: Any
    series: Series = field(default_factory=Series)

    def round(self, blocks: int, counts: bool) -> None:
        """Some blocks: ns to move a message."""
        self.stand.decide_ns = 0
        with undisturbed(usable_cores()[-1]):
            copy_blocks(self.stand, blocks)
        if counts:
            self.series.rates.append(self.stand.decide_ns / (blocks * self.stand.block))


def make_copying(effort: Effort) -> Copying:
    """A stand whose state nobody touches."""
    setting = replace(settings(effort)[0], checks=False)
    stand = RiskStand.make(make_config(setting, "bench-copy"), effort.block)
    stand.use(draw_intents(setting, effort.block, effort.blocks))
    return Copying(stand)


def measure_stage(console: Console, repeats: int, effort: Effort) -> dict[str, Any]:
    """The stage alone; the first round warms up."""
    chosen = settings(effort)
    with progress_bar(console) as progress:
        task = progress.add_task("risk: preparing", total=len(chosen) + repeats + 1)
        copying, lanes = make_copying(effort), []
        for setting in chosen:
            lanes.append(make_lane(setting, effort))
            progress.advance(task)
        for number in range(repeats + 1):
            progress.update(task, description=f"risk: round {number} of {repeats}")
            for lane in lanes:
                copying.round(effort.blocks, number > 0)
                lane.round(effort.blocks, number > 0)
            progress.advance(task)
    for stand in (copying.stand, *(lane.stand for lane in lanes)):
        stand.release()
    copied = copying.series.report("copy_ns", 1)
    return {"stage": [lane.report(copied["copy_ns"]) for lane in lanes], **copied}


def measure_whole(console: Console, repeats: int, effort: Effort) -> list[dict[str, Any]]:
    """Ingest, risk and matching in one thread, all checks on and off in turn."""
    rows = []
    with progress_bar(console) as progress:
        task = progress.add_task("engine", total=len(effort.symbols) * (repeats + 1))
        for symbols in effort.symbols:
            progress.update(task, description=f"engine: {symbols} symbols")
            on = Setting("cash", True, symbols, effort.accounts)
            whole = Whole(on, effort.whole_warm_up, effort.whole_commands, repeats)
            progress.advance(task)
            for _ in range(repeats):
                whole.round()
                progress.advance(task)
            rows.append(whole.report())
    return rows


def run(console: Console, repeats: int, effort: Effort | None = None) -> dict[str, Any]:
    """Measure everything; the result has the fields of `okimi bench risk --json`."""
    effort = effort or Effort()
    stage = measure_stage(console, repeats, effort)
    engine = measure_whole(console, repeats, effort)
    core = usable_cores()[-1]
    return {
        **named_figures(stage["stage"]),
        **stage,
        "engine": engine,
        "engine_on_off_ratio": max(row["on_off_ratio"] for row in engine),
        "accounts": effort.accounts,
        "backlog": effort.block,
        "repeats": repeats,
        "realtime": permitted(core),
        "not_included": list(NOT_INCLUDED),
        "host": host_facts((core,)),
    }


def named_figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """check_ns of each row by a name of its own, with lowest and highest."""
    figures = {}
    for row in rows:
        name = "check_ns"
        name += "_margin" if row["kind"] == "margin" else ""
        name += "" if row["checks"] else "_off"
        name += "" if row["symbols"] == 1 else f"_{row['symbols']}_symbols"
        for end in ("", "_min", "_max"):
            figures[f"{name}{end}"] = row[f"check_ns{end}"]
    return figures
