"""The sections of the configuration: tables of which there is one, with the defaults of their keys.

`engine.config` reads them; what a key does stands in `okimi.toml`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from engine.limits import (
    ACCOUNTS_MAX,
    BATCH_MAX,
    EVENT_RING_SLOTS,
    EVENTS_PER_SLICE_MAX,
    RING_SLOTS,
    SHARDS_MAX,
)
from engine.schema import choice, flag, loopback_address, power_of_two, split_address, text, whole

SLOTS_MAX: Final = 1 << 22
"""Slots of a ring: 512 MiB of messages. A longer queue is a fault that should be seen sooner."""

COMMAND_SLOTS_MIN: Final = BATCH_MAX * 4
"""A ring holds several batches, so that its writer and reader can work at the same time."""

EVENT_SLOTS_MIN: Final = EVENTS_PER_SLICE_MAX * 4
"""The event ring holds several slices of a sweep, for the same reason."""

BODY_BYTES_MAX: Final = 1 << 20
"""No request that the venue understands comes near this."""

TICK_MS_MAX: Final = 60_000
"""Slowest clock of a venue: a minute, by which orders may live too long."""

SEGMENT_MB_MAX: Final = 4096
"""A segment is written with zeros before it is used: more than this takes minutes."""

MINUTES_MAX: Final = 7 * 24 * 60
"""A week."""

assert COMMAND_SLOTS_MIN <= RING_SLOTS <= SLOTS_MAX
assert EVENT_SLOTS_MIN <= EVENT_RING_SLOTS <= SLOTS_MAX


@dataclass(frozen=True, slots=True)
class Venue:
    """[venue]: the instance and its memory."""

    name: Annotated[
        str, text("[a-z0-9][a-z0-9-]{0,31}", "1 to 32 lower-case letters, digits or hyphens")
    ] = "okimi"
    durability: Annotated[str, choice("durable", "memory")] = "durable"
    layout: Annotated[str, choice("auto", "spread", "compact")] = "auto"
    prefault: Annotated[bool, flag()] = False
    huge_pages: Annotated[bool, flag()] = False
    mlock: Annotated[bool, flag()] = False
    tick_ms: Annotated[int, whole(0, TICK_MS_MAX)] = 1000
    shards: Annotated[int, whole(1, SHARDS_MAX)] = 1


@dataclass(frozen=True, slots=True)
class Durability:
    """[durability]: journal, snapshots, and what happens when a process dies."""

    data_dir: Annotated[str, text(".{0,1024}", "a folder, or nothing for the default one")] = ""
    segment_mb: Annotated[int, whole(1, SEGMENT_MB_MAX)] = 256
    reserve_mb: Annotated[int, whole(0, 1 << 20)] = 1024
    snapshot_minutes: Annotated[int, whole(0, MINUTES_MAX)] = 15
    snapshots_kept: Annotated[int, whole(2, 100)] = 3
    archive: Annotated[bool, flag()] = True
    shadow: Annotated[str, choice("auto", "on", "off")] = "auto"
    stall_ms: Annotated[int, whole(100, 600_000)] = 2_000
    deaths_max: Annotated[int, whole(1, 1 << 20)] = 3
    deaths_seconds: Annotated[int, whole(1, 86_400)] = 30


@dataclass(frozen=True, slots=True)
class Gateway:
    """[gateway]: the process that serves clients."""

    http: Annotated[str, loopback_address()] = "127.0.0.1:8080"
    body_bytes_max: Annotated[int, whole(256, BODY_BYTES_MAX)] = 16_384
    ws_backlog_max: Annotated[int, whole(16, 1 << 20)] = 4_096
    request_timeout_ms: Annotated[int, whole(1, 60_000)] = 2_000

    @property
    def host(self) -> str:
        """Address to listen on."""
        return split_address(self.http)[0]

    @property
    def port(self) -> int:
        """Port to listen on; 0 for any free one."""
        return split_address(self.http)[1]


@dataclass(frozen=True, slots=True)
class Rings:
    """[rings]: slots of 128 bytes of each kind of ring."""

    order_slots: Annotated[int, power_of_two(COMMAND_SLOTS_MIN, SLOTS_MAX)] = RING_SLOTS
    sequenced_slots: Annotated[int, power_of_two(COMMAND_SLOTS_MIN, SLOTS_MAX)] = RING_SLOTS
    decision_slots: Annotated[int, power_of_two(COMMAND_SLOTS_MIN, SLOTS_MAX)] = RING_SLOTS
    event_slots: Annotated[int, power_of_two(EVENT_SLOTS_MIN, SLOTS_MAX)] = EVENT_RING_SLOTS


@dataclass(frozen=True, slots=True)
class Waiting:
    """[waiting]: what a process does while there is nothing to do."""

    strategy: Annotated[str, choice("auto", "spin", "yield", "park")] = "auto"


@dataclass(frozen=True, slots=True)
class Risk:
    """[risk]: accounts of the venue itself, and when its day begins."""

    day_start: Annotated[
        str, text("([01][0-9]|2[0-3]):[0-5][0-9]", 'a time of day in UTC such as "08:00"')
    ] = "00:00"
    fee_account: Annotated[int | None, whole(0, ACCOUNTS_MAX - 1)] = None
    insurance_account: Annotated[int | None, whole(0, ACCOUNTS_MAX - 1)] = None

    @property
    def day_start_ns(self) -> int:
        """When the day begins, after midnight UTC."""
        hours, minutes = map(int, self.day_start.split(":"))
        return (hours * 60 + minutes) * 60 * 1_000_000_000


SECTIONS: Final[Mapping[str, type]] = {
    "venue": Venue,
    "durability": Durability,
    "gateway": Gateway,
    "rings": Rings,
    "waiting": Waiting,
    "risk": Risk,
}
"""Sections by their names in the configuration."""
