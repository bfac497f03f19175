"""The rolling hash over matching's events: two engines with one hash did the same.

Every change of state gives an event, so the hash over events stands for the state. Times, stamps
and the numbers of commands in their sources are left out: they differ between runs of the same
commands. Each of the 8 words that count is multiplied by its own odd constant, and the xor of the
products is mixed into the hash: 8 multiplications that do not wait for each other, and one that
does. Where an event has terms, each of their words costs one more that waits.
"""

from typing import Final

from engine.messages import PLAIN_BYTES, EventFlag, Message, Terms
from engine.stage import Word
from ipc.intrinsics import multiply_wrapping, shift_right
from ipc.jit import inlined, kernel

KIND: Final = 8
"""Offsets of the words that count: kind to reason in one."""

PARTIES: Final = 24
"""Account and instrument."""

ORDER: Final = 32
PRICE: Final = 40
QTY: Final = 48
LEVEL: Final = 56
FIRST: Final = 88
"""Of what only this kind of event has."""

SECOND: Final = 96

FACTORS: Final = (
    0x1E3779B97F4A7C15,
    0x3F58476D1CE4E5B9,
    0x14D049BB133111EB,
    0x2545F4914F6CDD1D,
    0x369DEA0F31A53F85,
    0x27D4EB2F165667C5,
    0x165667B19E3779F9,
    0x1B873593CC9E2D51,
)
F0, F1, F2, F3, F4, F5, F6, F7 = FACTORS

TERMS_END: Final = Terms.end

assert Message.fields["kind"].offset == KIND
assert Message.fields["account"].offset == PARTIES
assert Message.fields["qty_lots"].offset == QTY
assert all(factor & 1 for factor in FACTORS)


@inlined
def word_at(address: int) -> int:
    """Eight bytes."""
    return Word(address).value


@inlined
def fold(state_hash: int, event: int) -> int:
    """The hash after the event at this address."""
    mixed = (
        multiply_wrapping(word_at(event + KIND), F0)
        ^ multiply_wrapping(word_at(event + PARTIES), F1)
        ^ multiply_wrapping(word_at(event + ORDER), F2)
        ^ multiply_wrapping(word_at(event + PRICE), F3)
        ^ multiply_wrapping(word_at(event + QTY), F4)
        ^ multiply_wrapping(word_at(event + LEVEL), F5)
        ^ multiply_wrapping(word_at(event + FIRST), F6)
        ^ multiply_wrapping(word_at(event + SECOND), F7)
    )
    state_hash = multiply_wrapping(state_hash ^ mixed, F0)
    state_hash ^= shift_right(state_hash, 29)
    if Message(event).flags & EventFlag.TERMS:
        state_hash = fold_terms(state_hash, event + PLAIN_BYTES)
    return state_hash


@kernel
def fold_terms(state_hash: int, terms: int) -> int:
    """The same for the third line of an event."""
    for offset in range(0, TERMS_END, 8):
        state_hash = multiply_wrapping(state_hash ^ word_at(terms + offset), F1)
        state_hash ^= shift_right(state_hash, 29)
    return state_hash
