"""Tick tables: price steps that grow with the price.

Read once from the configuration. A table is a few ranges, each from its lowest price up to the
next range; a valid price is a multiple of the step of its range. Each range begins at a multiple
of its own step and of the step before, so that rounding never leads beyond a range. The first
range also holds for all prices below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from engine.limits import PRICE_TICKS_MAX
from engine.scale import Scale
from engine.schema import Problems, decimal, read


@dataclass(frozen=True, slots=True)
class PriceStepTable:
    """One entry of an instrument's `price_steps`, as written."""

    from_: Annotated[str, decimal(positive=False)]
    step: Annotated[str, decimal()]


class PriceStep(NamedTuple):
    """One range of a tick table."""

    from_ticks: int
    step_ticks: int


def make_price_steps(
    written: Sequence[Any], path: str, prices: Scale, problems: Problems
) -> tuple[PriceStep, ...]:
    """A tick table in ticks, ascending; what is wrong with it goes to `problems`."""
    made: list[PriceStep] = []
    for index, table in enumerate(written):
        place = f"{path}[{index}]"
        entry = read(PriceStepTable, table, place, problems)
        if entry is None:
            continue
        first = _ticks(entry.from_, prices, -PRICE_TICKS_MAX, f"{place}.from", problems)
        step = _ticks(entry.step, prices, 1, f"{place}.step", problems)
        if first is None or step is None:
            continue
        if made and first <= made[-1].from_ticks:
            expected = (
                f"more than {prices.text(made[-1].from_ticks)}, where the range before begins"
            )
            problems.note(f"{place}.from", expected, entry.from_)
        elif first % step or (made and first % made[-1].step_ticks):
            expected = "a multiple of its own step and of the step before"
            problems.note(f"{place}.from", expected, entry.from_)
        made.append(PriceStep(first, step))
    return tuple(made)


def _ticks(value: str, prices: Scale, least: int, path: str, problems: Problems) -> int | None:
    """A price in ticks; None after noting what is wrong with it."""
    try:
        count = prices.count(value)
    except ValueError as error:
        problems.say(path, str(error))
        return None
    if not least <= count <= PRICE_TICKS_MAX:
        expected = f"{prices.text(least)} to {prices.text(PRICE_TICKS_MAX)}"
        problems.note(path, expected, value)
        return None
    return count
