"""The documented layouts are the declared ones, and a changed layout is noticed."""

from pathlib import Path

import pytest

from engine.messages import Command, Decision, OrderEvent, TradeEvent
from tools.layouts import PAGES, PARTS

DOCS = Path(__file__).resolve().parent.parent / "docs"
FILES = {"messages": "messages.md", "memory": "memory-map.md", "snapshots": "snapshots.md"}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_document_is_the_declaration(page):
    written = (DOCS / FILES[page]).read_text()
    assert written == PAGES[page](), f"run: python -m tools.layouts {page} > docs/{FILES[page]}"


@pytest.mark.parametrize("part", sorted(PARTS))
def test_the_document_contains_the_declaration(part):
    written = (DOCS / f"{part}.md").read_text()
    assert PARTS[part]() in written, f"put in what this prints: python -m tools.layouts {part}"


def test_offsets_that_other_programs_rely_on_stay():
    frozen = {
        (Command, "sequence"): 0,
        (Command, "kind"): 8,
        (Command, "order_id"): 32,
        (Command, "client_order_id"): 56,
        (Decision, "ev_wm"): 112,
        (OrderEvent, "client_order_id"): 88,
        (TradeEvent, "match_id"): 112,
    }
    found = {key: key[0].fields[key[1]].offset for key in frozen}
    assert found == frozen
