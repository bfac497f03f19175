"""Histograms: HdrHistogram's published index, and percentiles against NumPy's."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ipc.histogram import COUNTS, VALUE_MAX, Histogram, Percentiles, bucket_value, record
from ipc.jit import INTERPRETED, kernel

pytestmark = pytest.mark.interpreted

VALUES = st.one_of(
    st.integers(0, 5000),
    st.integers(0, VALUE_MAX),
    st.integers(0, 36).map(lambda bits: 1 << bits).filter(lambda value: value <= VALUE_MAX),
    st.integers(1, 35).map(lambda bits: (1 << bits) - 1),
)


@kernel
def count(histogram: Histogram, value: int) -> None:
    record(histogram, value)


def published_index(value: int) -> int:
    """HdrHistogram's countsArrayIndex, for three significant digits from 1 on, step by step."""
    sub_bucket_count = 2048  # the power of two that holds 2 * 10**3 single steps
    sub_bucket_half_count = sub_bucket_count // 2
    sub_bucket_mask = sub_bucket_count - 1
    bucket_index = (value | sub_bucket_mask).bit_length() - 11
    sub_bucket_index = value >> bucket_index
    base = (bucket_index + 1) * sub_bucket_half_count
    return base + (sub_bucket_index - sub_bucket_half_count)


def filled(histogram: Histogram) -> list[int]:
    counts = Percentiles(histogram).counts
    return [int(index) for index in np.flatnonzero(counts)]


@given(VALUES)
@example(0)
@example(2047)
@example(2048)
@example(4095)
@example(VALUE_MAX)
def test_a_value_is_counted_where_hdrhistogram_counts_it(value: int) -> None:
    histogram = Histogram.allocate()
    count(histogram, value)
    assert filled(histogram) == [published_index(value)]
    assert histogram.total == 1
    assert histogram.largest == value


@given(VALUES)
@example(VALUE_MAX)
def test_a_bucket_keeps_three_digits(value: int) -> None:
    index = published_index(value)
    highest = bucket_value(index)
    lowest = bucket_value(index - 1) + 1 if index else 0
    assert lowest <= value <= highest
    assert (highest - lowest) * 1000 <= max(value, 1000)


def test_all_buckets_follow_one_another() -> None:
    edges = [bucket_value(index) for index in range(COUNTS)]
    assert edges[:2048] == list(range(2048))
    assert all(after > before for before, after in pairwise(edges))
    assert edges[-1] >= VALUE_MAX
    assert published_index(VALUE_MAX) < COUNTS


@pytest.mark.parametrize(
    ("value", "counted_as"),
    [(-1, 0), (-(2**63), 0), (VALUE_MAX + 1, VALUE_MAX), (2**63 - 1, VALUE_MAX)],
)
def test_values_out_of_range_are_counted_at_its_ends(value: int, counted_as: int) -> None:
    histogram = Histogram.allocate()
    count(histogram, value)
    assert filled(histogram) == [published_index(counted_as)]
    assert histogram.largest == counted_as


@given(st.lists(VALUES, min_size=1, max_size=300), st.floats(0, 100))
@example([5, 5, 5, 9], 75.0)
@example([5, 5, 5, 9], 75.1)
def test_percentiles_are_exact_ranks_within_three_digits(values: list[int], percent: float) -> None:
    histogram = Histogram.allocate()
    for value in values:
        count(histogram, value)
    found = Percentiles(histogram)
    for each in (percent, 50, 99, 99.9, 100):
        rank = max(math.ceil(Fraction(str(each)) * len(values) / 100), 1)
        exact = sorted(values)[rank - 1]
        assert exact <= found.at(each) <= exact + exact // 1000
    assert found.at(100) == max(values) == found.largest
    assert found.total == len(values)


def test_a_large_sample_agrees_with_numpy() -> None:
    size = 300 if INTERPRETED else 100_000
    values = np.random.default_rng(23).lognormal(7, 2, size).astype(np.int64)
    histogram = Histogram.allocate()
    for value in values.tolist():
        count(histogram, value)
    summary = Percentiles(histogram).summary()
    assert list(summary) == ["count", "p50", "p99", "p999", "max"]
    for name, percent in (("p50", 50), ("p99", 99)):
        exact = int(np.percentile(values, percent, method="inverted_cdf"))
        assert exact <= summary[name] <= exact + exact // 1000
    # NumPy takes 99.9 % of 100,000 in floats and ends one rank too high.
    exact = int(np.sort(values)[-(-size * 999 // 1000) - 1])
    assert exact <= summary["p999"] <= exact + exact // 1000
    assert summary["count"] == size
    assert summary["max"] == values.max()


def test_an_empty_histogram_answers_zero() -> None:
    summary = Percentiles(Histogram.allocate()).summary()
    assert summary == {"count": 0, "p50": 0, "p99": 0, "p999": 0, "max": 0}


def test_percentiles_are_of_the_moment_they_were_taken() -> None:
    histogram = Histogram.allocate()
    count(histogram, 10)
    before = Percentiles(histogram)
    count(histogram, 1000)
    assert (before.total, before.at(100)) == (1, 10)
    assert Percentiles(histogram).at(100) == 1000
