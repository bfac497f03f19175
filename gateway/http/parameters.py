"""What requests carry outside of their bodies: path segments and query parameters, checked."""

from typing import Final

from aiohttp import web

from engine.limits import ACCOUNTS_MAX
from gateway.errors import BadParameter
from gateway.reading import found
from gateway.schema import ORDER_ID_MAX

DIGITS_MAX: Final = 19
"""Digits of the largest int64; longer numbers are not even parsed."""

NAME_CHARS_MAX: Final = 60
"""Characters of an unknown parameter's name that an error repeats."""


def check_query(request: web.Request, *known: str) -> None:
    """Refuse query parameters that the endpoint does not have."""
    if not request.query_string:
        return
    for name in request.query:
        if name not in known:
            takes = f"there are {', '.join(known)}" if known else "there are none"
            raise BadParameter(f"no such query parameter; {takes}", name[:NAME_CHARS_MAX])


def whole_number(text: str | None, field: str, least: int, most: int) -> int:
    """A whole number in a range that includes both ends. BadParameter when it is not one."""
    if text is not None and text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX:
        value = int(text)
        if least <= value <= most:
            return value
    shown = "nothing" if text is None else found(text)
    raise BadParameter(f"expected a whole number from {least} to {most}, found {shown}", field)


def optional_number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """A query parameter that may be left out."""
    text = request.query.get(name)
    return default if text is None else whole_number(text, name, least, most)


def one_of(request: web.Request, name: str, *words: str) -> str | None:
    """A query parameter that is one of some words; None when it is left out."""
    text = request.query.get(name)
    if text is not None and text not in words:
        expected = " or ".join(f'"{word}"' for word in words)
        raise BadParameter(f"expected {expected}, found {found(text)}", name)
    return text


def account_number(text: str | None) -> int:
    """An account, from a path or a query."""
    return whole_number(text, "account", 0, ACCOUNTS_MAX - 1)


def order_id(request: web.Request) -> int:
    """The order that the path names."""
    return whole_number(request.match_info["order_id"], "order_id", 1, ORDER_ID_MAX)
