"""Valid prices of an instrument next to any price: on its steps, and within its range."""

from tools.twin.instrument import Instrument


def at_most(instrument: Instrument, price_ticks: int) -> int | None:
    """The highest valid price that is not above `price_ticks`, None when there is none."""
    valid = instrument.step_down(min(price_ticks, instrument.price_max_ticks))
    return valid if valid >= instrument.price_min_ticks else None


def at_least(instrument: Instrument, price_ticks: int) -> int | None:
    """The lowest valid price that is not below `price_ticks`, None when there is none."""
    valid = instrument.step_up(max(price_ticks, instrument.price_min_ticks))
    return valid if valid <= instrument.price_max_ticks else None
