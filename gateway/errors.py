"""Why the gateway refuses a request: one tree, each leaf with a status, a number and a code.

    GatewayError
    ├── BadRequest 400            the request cannot be understood
    │   ├── MalformedJson 101     the body is no JSON
    │   ├── BadEncoding 102       text that is not UTF-8
    │   ├── WrongShape 103        the body is no object, or no operation that there is
    │   ├── UnknownField 104      a field that the operation does not have
    │   ├── MissingField 105      a field that it needs
    │   ├── WrongType 106         a field that holds another type or word than it takes
    │   └── BadParameter 107      a path segment or query parameter
    ├── BadValue 422              understood, but this venue cannot take it
    │   ├── BadDecimal 110        a price or quantity that is no plain decimal number
    │   ├── OffTick 111           a price between two ticks
    │   ├── OffLot 112            a quantity of broken lots
    │   ├── PriceOutOfRange 113   outside of the instrument's prices
    │   ├── QuantityOutOfRange 114  zero, negative or beyond every limit
    │   ├── UnknownSymbol 115     no such instrument (404 as NoSuchSymbol in a path)
    │   ├── UnknownAccount 116    no such account (404 as NoSuchAccount in a path)
    │   ├── BadClientOrderId 117  too long, empty, or not printable ASCII
    │   ├── Contradiction 118     fields that exclude or need each other
    │   ├── BadTime 119           a time that cannot be read, or that no clock can show
    │   ├── BadInstrument 129     an instrument that the venue cannot list
    │   ├── BadRuleTable 134      a rule that cannot be set
    │   └── UnknownAsset 135      no such asset
    ├── Forbidden 403, 120        another site's page, or another name than this host's
    ├── UnknownRoute 404, 121
    ├── UnknownOrder 404, 122
    ├── MethodNotAllowed 405, 123
    ├── BodyTimeout 408, 128      the body does not end
    ├── OrderNotOpen 409, 124     it ended before
    ├── BodyTooLarge 413, 125
    ├── UnsupportedMediaType 415, 126
    ├── UpgradeRequired 426, 127
    ├── InternalError 500, 130    a bug
    ├── EngineBusy 503, 131       the order ring is full; nothing was sent
    ├── Stopping 503, 132         the venue ends
    ├── DiskFull 503, 136         no room for the journal; only what takes risk back is taken
    ├── EngineTimeout 504, 133    no answer in time; the command may still be executed
    └── EngineRefusal 2xx to 4xx  the engine's own reason, see gateway.refusals

Numbers tell who refused: 1xx the gateway, 2xx ingest, 3xx risk, 4xx matching. Clients get a
problem document (RFC 9457) with the members below; `code` is stable, texts may change.
"""

from typing import Any, Final

RETRY_AFTER_SECONDS: Final = "1"
"""What a client is told to wait when the engine is busy: rings empty in milliseconds."""


class GatewayError(Exception):
    """A request that was refused; becomes a problem document."""

    status = 500
    number = 0
    code = ""
    title = ""

    def __init__(self, detail: str, field: str | None = None, **members: Any) -> None:
        """`field`: the request's field at fault; `members`: more members of the document."""
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.members = members

    def document(self) -> dict[str, Any]:
        """The members of the problem document."""
        made = {
            "type": f"urn:okimi:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "number": int(self.number),
            "detail": self.detail,
        }
        if self.field is not None:
            made["field"] = self.field
        return made | self.members

    def headers(self) -> dict[str, str]:
        """HTTP header fields that belong to this error."""
        return {"Retry-After": RETRY_AFTER_SECONDS} if self.status == 503 else {}


class BadRequest(GatewayError):
    """The request cannot be understood."""

    status = 400


class MalformedJson(BadRequest):
    """The body is not JSON."""

    number, code, title = 101, "malformed_json", "The body is not valid JSON"


class BadEncoding(BadRequest):
    """Text is not UTF-8."""

    number, code, title = 102, "bad_encoding", "Text is not valid UTF-8"


class WrongShape(BadRequest):
    """The body is not the object that is expected."""

    number, code, title = 103, "wrong_shape", "The body is not what this operation takes"


class UnknownField(BadRequest):
    """A field that the operation does not have."""

    number, code, title = 104, "unknown_field", "A field is not known"


class MissingField(BadRequest):
    """A field is needed and not there."""

    number, code, title = 105, "missing_field", "A field is missing"


class WrongType(BadRequest):
    """A field holds another type or word than it takes."""

    number, code, title = 106, "wrong_type", "A field holds the wrong type or word"


class BadParameter(BadRequest):
    """A path segment or query parameter cannot be read."""

    number, code, title = 107, "bad_parameter", "A parameter cannot be read"


class BadValue(GatewayError):
    """A field is readable, but this venue cannot take its value."""

    status = 422


class BadDecimal(BadValue):
    """A price or quantity is not a plain decimal number."""

    number, code, title = 110, "bad_decimal", "A number is not a plain decimal"


class OffTick(BadValue):
    """A price lies between two ticks."""

    number, code, title = 111, "off_tick", "The price is not a multiple of the tick"


class OffLot(BadValue):
    """A quantity is not a whole number of lots."""

    number, code, title = 112, "off_lot", "The quantity is not a multiple of the lot"


class PriceOutOfRange(BadValue):
    """A price that the instrument cannot have."""

    number, code, title = 113, "price_out_of_range", "The price is out of range"


class QuantityOutOfRange(BadValue):
    """A quantity of zero, below, or beyond what can be represented."""

    number, code, title = 114, "quantity_out_of_range", "The quantity is out of range"


class UnknownSymbol(BadValue):
    """No instrument has this symbol."""

    number, code, title = 115, "unknown_symbol", "There is no such instrument"


class NoSuchSymbol(UnknownSymbol):
    """The same, when the symbol names the resource."""

    status = 404


class UnknownAccount(BadValue):
    """No account has this number."""

    number, code, title = 116, "unknown_account", "There is no such account"


class NoSuchAccount(UnknownAccount):
    """The same, when the account names the resource."""

    status = 404


class BadClientOrderId(BadValue):
    """A client order id that cannot be kept."""

    number, code, title = 117, "bad_client_order_id", "The client order id cannot be used"


class Contradiction(BadValue):
    """Fields that exclude each other, or need one that is not there."""

    number, code, title = 118, "contradiction", "The fields do not go together"


class BadTime(BadValue):
    """A time that cannot be read, or lies outside of what the engine's clock can show."""

    number, code, title = 119, "bad_time", "The time cannot be used"


class BadInstrument(BadValue):
    """An instrument that the venue cannot list; `problems` are all that is wrong with it."""

    number, code, title = 129, "bad_instrument", "The instrument cannot be listed"


class BadRuleTable(BadValue):
    """A rule that cannot be set; `problems` are all that is wrong with it."""

    number, code, title = 134, "bad_rule_table", "The rule cannot be set"


class UnknownAsset(BadValue):
    """Nothing is kept in this asset."""

    number, code, title = 135, "unknown_asset", "There is no such asset"


class Forbidden(GatewayError):
    """A request that a page of another site sent through a browser on this machine."""

    status, number, code, title = 403, 120, "forbidden", "The request comes from another site"


class UnknownRoute(GatewayError):
    """Nothing is served at this path."""

    status, number, code, title = 404, 121, "unknown_route", "Nothing is served here"


class UnknownOrder(GatewayError):
    """The account has no such order."""

    status, number, code, title = 404, 122, "unknown_order", "There is no such order"


class MethodNotAllowed(GatewayError):
    """The path is served, but not with this method; `allowed` are those that are."""

    status, number, code, title = 405, 123, "method_not_allowed", "Not with this method"

    def __init__(self, detail: str, allowed: list[str]) -> None:
        super().__init__(detail, allowed=allowed)

    def headers(self) -> dict[str, str]:
        """The Allow header, which this status requires."""
        return {"Allow": ", ".join(self.members["allowed"])}


class BodyTimeout(GatewayError):
    """The body did not arrive in time."""

    status, number, code, title = 408, 128, "body_timeout", "The body did not arrive in time"


class OrderNotOpen(GatewayError):
    """The order is known and has ended; `order` is its last state."""

    status, number, code, title = 409, 124, "order_not_open", "The order has ended"


class BodyTooLarge(GatewayError):
    """The body is larger than the gateway takes."""

    status, number, code, title = 413, 125, "body_too_large", "The body is too large"


class UnsupportedMediaType(GatewayError):
    """The body is declared to be something else than JSON."""

    status, number, code, title = 415, 126, "unsupported_media_type", "The body must be JSON"


class UpgradeRequired(GatewayError):
    """The WebSocket's path was asked for without a WebSocket."""

    status, number, code, title = 426, 127, "upgrade_required", "This is a WebSocket"

    def headers(self) -> dict[str, str]:
        """What to upgrade to."""
        return {"Upgrade": "websocket"}


class InternalError(GatewayError):
    """A bug in the gateway."""

    status, number, code, title = 500, 130, "internal_error", "The gateway failed"


class EngineBusy(GatewayError):
    """The order ring is full; nothing was sent."""

    status, number, code, title = 503, 131, "engine_busy", "The engine is busy"


class Stopping(GatewayError):
    """The venue ends while the request waits."""

    status, number, code, title = 503, 132, "stopping", "The venue is stopping"


class DiskFull(GatewayError):
    """There is no room for more of the journal; nothing was sent."""

    status, number, code, title = 503, 136, "disk_full", "The disk is full"


class EngineTimeout(GatewayError):
    """The engine did not answer in time."""

    status, number, code, title = 504, 133, "engine_timeout", "No answer from the engine in time"
