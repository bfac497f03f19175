"""Pits for the examples of limits: all that engine and twin remember is compared at the end."""

from collections.abc import Callable, Iterator

import pytest

from tests.risk.pit import Pit


@pytest.fixture
def pits() -> Iterator[Callable[..., Pit]]:
    """Makes pits, and compares and closes them."""
    made: list[Pit] = []

    def make(*instruments: object, **market: object) -> Pit:
        made.append(Pit(*instruments, **market))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for pit in made:
        pit.close()


@pytest.fixture
def pit(pits: Callable[..., Pit]) -> Pit:
    """Two plain instruments."""
    return pits()
