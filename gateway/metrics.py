"""Counters as Prometheus reads them: the stages and rings of the venue, and the gateway's own.

Everything is read from the counters file and the rings when somebody asks; serving orders only
increments `Counts`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.venue import VenueMemory
from gateway.health import examine
from ipc.histogram import Percentiles

Sample = tuple[dict[str, Any], int]
Family = tuple[str, str, str, list[Sample]]

CONTENT_TYPE = "text/plain; version=0.0.4"


@dataclass(slots=True)
class Counts:
    """What the gateway counts while it serves."""

    requests: dict[int, int] = field(default_factory=dict)
    "HTTP responses by status."
    operations: dict[int, int] = field(default_factory=dict)
    "WebSocket replies by status."
    clients: int = 0
    "WebSocket connections now."
    dropped: int = 0
    "WebSocket connections closed because they read too slowly."


def render(
    venue: VenueMemory, counts: Counts, state: dict[str, int], refusals: dict[str, int]
) -> bytes:
    """The whole page; `state`: gauges of the gateway by name; `refusals` by their reason."""
    lines: list[str] = []
    for name, kind, text, samples in (*_families(venue, counts, state), _refused(refusals)):
        lines.append(f"# HELP okimi_{name} {text}")
        lines.append(f"# TYPE okimi_{name} {kind}")
        for labels, value in samples:
            shown = ",".join(f'{key}="{label}"' for key, label in labels.items())
            lines.append(f"okimi_{name}{{{shown}}} {value}" if shown else f"okimi_{name} {value}")
    return ("\n".join(lines) + "\n").encode()


def _refused(refusals: dict[str, int]) -> Family:
    samples: list[Sample] = [({"reason": reason}, count) for reason, count in refusals.items()]
    return "refusals_total", "counter", "Commands refused by ingest and risk", samples


def _families(venue: VenueMemory, counts: Counts, state: dict[str, int]) -> Iterator[Family]:
    """Name, type, help and samples of each metric."""
    yield from _stages(venue)
    yield from _rings(venue)
    processes = examine(venue).processes
    up = [({"process": process["name"]}, int(process["serves"])) for process in processes]
    ages = [({"process": process["name"]}, process["heartbeat_age_ms"]) for process in processes]
    yield "process_serving", "gauge", "1 while the process runs and its loop turns", up
    yield "process_heartbeat_age_ms", "gauge", "Milliseconds since the last turn", ages
    yield (
        "gateway_requests_total",
        "counter",
        "HTTP responses by status",
        [({"status": status}, count) for status, count in sorted(counts.requests.items())],
    )
    yield (
        "gateway_operations_total",
        "counter",
        "WebSocket replies by status",
        [({"status": status}, count) for status, count in sorted(counts.operations.items())],
    )
    yield "gateway_ws_clients", "gauge", "WebSocket connections", [({}, counts.clients)]
    yield (
        "gateway_ws_dropped_total",
        "counter",
        "WebSocket connections closed because they read too slowly",
        [({}, counts.dropped)],
    )
    for name, value in state.items():
        yield f"gateway_{name}", "gauge", name.replace("_", " ").capitalize(), [({}, value)]


def _stages(venue: VenueMemory) -> Iterator[Family]:
    statistics = {stage: venue.statistics(stage) for stage in venue.topology.stages}
    for name, text in (
        ("taken", "Messages consumed"),
        ("published", "Messages published"),
        ("batches", "Steps that found work"),
        ("blocked", "Steps that could not go on because an output ring was full"),
    ):
        samples = [({"stage": stage}, getattr(each, name)) for stage, each in statistics.items()]
        yield f"stage_{name}_total", "counter", text, samples
    latencies: list[Sample] = []
    largest: list[Sample] = []
    for stage, each in statistics.items():
        percentiles = Percentiles(each.latency)
        for quantile in ("0.5", "0.99", "0.999"):
            labels = {"stage": stage, "quantile": quantile}
            latencies.append((labels, percentiles.at(float(quantile) * 100)))
        largest.append(({"stage": stage}, percentiles.largest))
    yield "stage_latency_ns", "gauge", "Time from the stage before to this one", latencies
    yield "stage_latency_max_ns", "gauge", "The longest such time", largest


def _rings(venue: VenueMemory) -> Iterator[Family]:
    fills: list[Sample] = []
    for plan in venue.topology.rings:
        ring = venue.rings[plan.name]
        published = ring.producer.position
        for index, reader in enumerate(plan.readers):
            cursor = ring.readers[index]
            if cursor.active:
                waiting = max(published - cursor.position, 0)
                fills.append(({"ring": plan.name, "reader": reader}, waiting))
    yield "ring_waiting", "gauge", "Messages that the reader has not consumed", fills
    capacity: list[Sample] = [
        ({"ring": plan.name}, venue.rings[plan.name].slot_count) for plan in venue.topology.rings
    ]
    yield "ring_capacity", "gauge", "Messages that fit the ring", capacity
