"""What a command causes beyond itself: woken orders, pegs that follow, all-or-none orders."""

from engine.messages import Phase
from tools.twin.book import Book
from tools.twin.entering import Entering


class Settling(Entering):
    """Brings a book to rest after each command."""

    def _settle(self, book: Book) -> None:
        """Do what was caused, until nothing more is."""
        while True:
            self._enter_woken(book)
            if book.phase != Phase.CONTINUOUS:
                return
            if book.pegs and book.references() != book.pass_references:
                self._pass_pegs(book)
            elif book.brought:
                self._try_all_or_none(book)
            else:
                return

    def _enter_woken(self, book: Book) -> None:
        """Let the queue of the woken enter, one after the other."""
        while book.woken:
            order = book.woken.pop(0)
            if order.was_reached:
                order.was_reached = False
                self._wake(order)
            else:
                self._enter(order, True)

    def _pass_pegs(self, book: Book) -> None:
        """Move the pegs whose price is another now."""
        before = book.references()
        for order in list(book.pegs):
            if not order.alive or book.phase != Phase.CONTINUOUS:
                continue
            if self._peg_price(order) == order.rest_ticks:
                continue
            if order.rest_ticks is not None:
                self._take_peg_out(order)
            self._place_peg(order)
            self._enter_woken(book)
        if book.phase == Phase.CONTINUOUS:
            # References that moved on the way are not those of the pass: there is another one.
            book.pass_references = before

    def _try_all_or_none(self, book: Book) -> None:
        """Let the waiting orders trade that can be filled whole now."""
        book.brought = False
        for order in list(book.all_or_none):
            may_try = order in book.all_or_none and book.phase == Phase.CONTINUOUS
            if may_try and self._can_fill(order, order.open_lots):
                book.all_or_none.remove(order)
                self._take(order, order.price_ticks)
                self._enter_woken(book)
