"""Where an export goes: CSV by the standard library, Parquet by pyarrow.

Both are written batch by batch, so a journal of any length fits. CSV has times as ISO 8601 in UTC
and decimals as text; Parquet has timestamps and decimals of 38 digits. pyarrow comes
with `pip install okimi[export]`.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol

import numpy as np

from engine.scale import DECIMALS_MAX
from tools.journal.columns import Column, Kind
from tools.journal.errors import JournalToolError

DECIMAL_DIGITS: Final = 38
"""Of the widest decimal that everyone reads (decimal128)."""

WHOLE_DIGITS: Final = DECIMAL_DIGITS - DECIMALS_MAX
"""Digits before the point; a number with more stands in the raw column only."""


class Sink(Protocol):
    """A file that takes batches of columns, all with the same names and kinds."""

    def write(self, columns: Sequence[Column]) -> None:
        """Append a batch."""

    def __enter__(self) -> "Sink":
        """Open the file."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Complete it."""


class CsvSink:
    """A head line, then one line for each row; what has no value is empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None
        self._begun = False

    def __enter__(self) -> "CsvSink":
        self._file = self._path.open("w", newline="", encoding="utf-8")
        return self

    def write(self, columns: Sequence[Column]) -> None:
        """Append a batch."""
        lines = csv.writer(self._file, lineterminator="\n")
        if not self._begun:
            lines.writerow([column.name for column in columns])
            self._begun = True
        lines.writerows(zip(*map(_cells, columns), strict=True))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()


def _cells(column: Column) -> list[Any]:
    """The rows of a column as CSV shows them."""
    if column.kind is Kind.TIME:
        times = column.values.astype("datetime64[ns]")
        made = np.char.add(np.datetime_as_string(times), "Z").astype(object)
    elif column.words is not None:
        made = np.array(column.words, object)[column.values]
    else:
        made = column.values.astype(object)
    if column.valid is not None:
        made[~column.valid] = ""
    cells: list[Any] = made.tolist()
    return cells


class ParquetSink:
    """One row group for each batch, compressed by zstd."""

    def __init__(self, path: Path) -> None:
        """JournalToolError when pyarrow is not installed."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise JournalToolError(
                "Parquet needs pyarrow, which is not installed: pip install okimi[export], "
                "or export CSV"
            ) from None
        self._arrow: Any = pyarrow
        self._path = path
        self._writer: Any = None

    def __enter__(self) -> "ParquetSink":
        return self

    def write(self, columns: Sequence[Column]) -> None:
        """Append a batch."""
        arrays = [self._array(column) for column in columns]
        table = self._arrow.Table.from_arrays(arrays, names=[column.name for column in columns])
        if self._writer is None:
            self._writer = self._arrow.parquet.ParquetWriter(
                self._path, table.schema, compression="zstd"
            )
        self._writer.write_table(table)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def _array(self, column: Column) -> Any:
        arrow = self._arrow
        absent = None if column.valid is None else ~column.valid
        if column.kind is Kind.NUMBER:
            return arrow.array(column.values, mask=absent)
        if column.kind is Kind.TIME:
            return arrow.array(column.values, mask=absent).cast(arrow.timestamp("ns", "UTC"))
        words = arrow.array([_fitting(column.kind, each) for each in column.words or ()])
        words = words.cast(arrow.string())
        if column.kind is Kind.DECIMAL:
            words = words.cast(arrow.decimal128(DECIMAL_DIGITS, DECIMALS_MAX))
        return words.take(arrow.array(column.values, mask=absent))


def _fitting(kind: Kind, shown: str) -> str | None:
    """A decimal that is not there, or has more digits than fit, has no value."""
    if kind is Kind.DECIMAL and (not shown or len(shown.lstrip("-").split(".")[0]) > WHOLE_DIGITS):
        return None
    return shown


SINKS: Final[dict[str, Callable[[Path], Sink]]] = {"csv": CsvSink, "parquet": ParquetSink}
