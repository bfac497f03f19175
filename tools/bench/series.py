"""Figures of rounds that did the same, and how they are reported: median, lowest, highest."""

import statistics
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Series:
    """Rates of passes that did the same, or times."""

    rates: list[float] = field(default_factory=list)

    def report(self, name: str, digits: int | None = None) -> dict[str, Any]:
        """Median under `name`, lowest and highest under `name` with _min and _max.

        Whole numbers, or with so many `digits` after the point.
        """
        if not self.rates:
            return {name: None, f"{name}_min": None, f"{name}_max": None}
        return {
            name: round(statistics.median(self.rates), digits),
            f"{name}_min": round(min(self.rates), digits),
            f"{name}_max": round(max(self.rates), digits),
        }

    def less(self, amount: float) -> "Series":
        """The same figures, each smaller by `amount`."""
        return Series([rate - amount for rate in self.rates])

    def over(self, other: "Series") -> float | None:
        """Median of the ratios of rounds, to two digits; None when one of them did not run."""
        if not self.rates or not other.rates:
            return None
        ratios = [one / two for one, two in zip(self.rates, other.rates, strict=True)]
        return round(statistics.median(ratios), 2)
