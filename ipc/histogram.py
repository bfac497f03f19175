"""Latency histograms in shared memory: HdrHistogram's layout, recorded in compiled code.

Values from 1 ns to 60 s keep three significant digits. One writer records (about 1.3 ns);
anybody reads at any time and at worst misses what is just being written.
Layout after Gil Tene's HdrHistogram: 2048 sub-buckets, each further bucket half as fine.
"""

import math
from fractions import Fraction
from typing import Final

import numpy as np

from ipc.intrinsics import leading_zeros
from ipc.jit import inlined
from ipc.record import LINE_PAIR_BYTES, Array, Record, i64, length

SUB_BUCKET_BITS: Final = 11
_HALF_BITS: Final = SUB_BUCKET_BITS - 1
_SUB_BUCKET_MASK: Final = (1 << SUB_BUCKET_BITS) - 1

VALUE_MAX: Final = 60_000_000_000
"""One minute in ns; longer values are counted as this."""

_BUCKETS: Final = 26
COUNTS: Final = (_BUCKETS + 1) << _HALF_BITS
assert (1 << (SUB_BUCKET_BITS + _BUCKETS - 1)) > VALUE_MAX, "the buckets cover VALUE_MAX"


class Histogram(Record, align=LINE_PAIR_BYTES):
    """Counts of values; single writer."""

    total: i64
    "Values recorded."
    largest: i64
    "The largest value recorded, exact."
    counts: Array[i64] = length(COUNTS)


@inlined
def record(histogram: Histogram, value: int) -> None:
    """Count one value in ns; negative values count as 0, values above VALUE_MAX as VALUE_MAX."""
    value = min(max(value, 0), VALUE_MAX)
    bucket = 64 - SUB_BUCKET_BITS - leading_zeros(value | _SUB_BUCKET_MASK)
    histogram.counts[(bucket << _HALF_BITS) + (value >> bucket)] += 1
    histogram.total += 1
    if value > histogram.largest:
        histogram.largest = value


def bucket_value(index: int) -> int:
    """The highest value that is counted at `index`."""
    bucket = max((index >> _HALF_BITS) - 1, 0)
    sub_bucket = index - (bucket << _HALF_BITS)
    return ((sub_bucket + 1) << bucket) - 1


class Percentiles:
    """A copy of a histogram's counts, taken at one moment, that answers questions."""

    def __init__(self, histogram: Histogram) -> None:
        """Copy the counts."""
        array = histogram.counts
        offset = array._region.offset(array.address, COUNTS * 8)
        raw = bytes(array._region.view[offset : offset + COUNTS * 8])
        self.counts = np.frombuffer(raw, dtype=np.int64)
        self.total = int(self.counts.sum())
        self.largest = histogram.largest

    def at(self, percent: float) -> int:
        """The value in ns that `percent` % of all values do not exceed; 0 when empty."""
        if self.total == 0:
            return 0
        # Exact: in floats, 99.9 % of 100,000 is a little more than 99,900.
        rank = max(math.ceil(Fraction(str(percent)) * self.total / 100), 1)
        index = int(np.searchsorted(np.cumsum(self.counts), rank))
        return min(bucket_value(index), self.largest)

    def summary(self) -> dict[str, int]:
        """Count, p50, p99, p999 and max in ns, under the names of the command line."""
        return {
            "count": self.total,
            "p50": self.at(50),
            "p99": self.at(99),
            "p999": self.at(99.9),
            "max": self.largest,
        }
