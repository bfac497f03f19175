"""Figures of rounds that did the same, and how they are reported: median, lowest, highest."""

import statistics
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Series:
    """Rates of passes that did the same."""

    rates: list[float] = field(default_factory=list)

    def report(self, name: str) -> dict[str, Any]:
        """Median under `name`, lowest and highest under `name` with _min and _max."""
        if not self.rates:
            return {name: None, f"{name}_min": None, f"{name}_max": None}
        return {
            name: round(statistics.median(self.rates)),
            f"{name}_min": round(min(self.rates)),
            f"{name}_max": round(max(self.rates)),
        }
