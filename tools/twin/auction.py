"""The price of an auction, found by looking at every stretch of prices where nothing changes."""

from engine.messages import Side
from tools.twin.book import Book, Result
from tools.twin.instrument import Instrument
from tools.twin.prices import at_least, at_most

Stretch = tuple[int, int]
"""First and last price."""


def auction(book: Book) -> Result:
    """Price, volume, surplus and the side that has it; zeros when nothing crosses."""
    if not book.is_crossed():
        return (0, 0, 0, 0)
    stretches = _stretches(book)
    volume = max(_volume(book, first) for first, _ in stretches)
    stretches = [each for each in stretches if _volume(book, each[0]) == volume]
    valid = [each for each in map(lambda s: _valid(book.instrument, s), stretches) if each]
    stretches = valid or stretches
    least = min(abs(_surplus(book, first)) for first, _ in stretches)
    stretches = [each for each in stretches if abs(_surplus(book, each[0])) == least]
    reference = _reference(book, stretches)
    prices = [price for each in stretches for price in _near(book, each, reference, bool(valid))]
    price = min(prices, key=lambda each: (abs(each - reference), each))
    surplus = _surplus(book, price)
    return (price, volume, abs(surplus), Side.SELL if surplus < 0 else Side.BUY)


def _bids(book: Book, price_ticks: int) -> int:
    """What buyers would take at a price."""
    levels = book.levels[Side.BUY]
    return sum(book.open_lots(Side.BUY, price) for price in levels if price >= price_ticks)


def _asks(book: Book, price_ticks: int) -> int:
    levels = book.levels[Side.SELL]
    return sum(book.open_lots(Side.SELL, price) for price in levels if price <= price_ticks)


def _volume(book: Book, price_ticks: int) -> int:
    return min(_bids(book, price_ticks), _asks(book, price_ticks))


def _surplus(book: Book, price_ticks: int) -> int:
    """What buyers have more than sellers."""
    return _bids(book, price_ticks) - _asks(book, price_ticks)


def _stretches(book: Book) -> list[Stretch]:
    """The prices from best ask to best bid, cut where bids end and asks begin."""
    first, last = book.best(Side.SELL), book.best(Side.BUY)
    assert first is not None
    assert last is not None
    cuts = {first, *book.levels[Side.SELL], *(price + 1 for price in book.levels[Side.BUY])}
    starts = sorted(cut for cut in cuts if first <= cut <= last)
    ends = [start - 1 for start in starts[1:]] + [last]
    return list(zip(starts, ends, strict=True))


def _valid(instrument: Instrument, stretch: Stretch) -> Stretch | None:
    """The stretch from its first to its last valid price, None when it has none."""
    first, last = at_least(instrument, stretch[0]), at_most(instrument, stretch[1])
    if first is None or last is None or first > last:
        return None
    return first, last


def _reference(book: Book, stretches: list[Stretch]) -> int:
    """The price that the auction's should be near to."""
    if book.last_ticks is not None:
        return book.last_ticks
    if book.instrument.reference_ticks:
        return book.instrument.reference_ticks
    return (stretches[0][0] + stretches[-1][1]) // 2


def _near(book: Book, stretch: Stretch, reference: int, only_valid: bool) -> list[int]:
    """The prices of a stretch that can be nearest to the reference."""
    within = max(stretch[0], min(stretch[1], reference))
    if not only_valid:
        return [within]
    below, above = at_most(book.instrument, within), at_least(book.instrument, within)
    found = [below, above]
    return [each for each in found if each is not None and stretch[0] <= each <= stretch[1]]
