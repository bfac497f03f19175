"""A bridge between rings and event loop, with the stages stepped by hand in this process."""

import asyncio
import os

from engine.config import load
from engine.messages import CommandKind, OrderType, TimeInForce
from engine.process import build_loop, run_stages
from engine.topology import GATEWAY, plan
from engine.venue import create_private
from gateway.bridge import Bridge
from ipc.wait import wake

SLOTS = 1024


class Rig:
    """A venue in private memory, a bridge, and what the bridge has applied."""

    def __init__(self, **venue):
        overrides = {
            "venue.durability": "memory",
            "venue.layout": "compact",
            "venue.tick_ms": 0,
            "rings.order_slots": SLOTS,
        }
        overrides |= {f"venue.{key}": value for key, value in venue.items()}
        config = load(overrides=overrides)
        topology = plan(config, clients=(GATEWAY,), cores=[0])
        self.venue = create_private(config, topology)
        self.bell = self.venue.entry(GATEWAY).bell
        self.bell.descriptor = os.eventfd(0, os.EFD_NONBLOCK)
        self.stages = build_loop(self.venue, topology.processes[1])
        self.cursor = self.venue.cursor(topology.event_rings[0], GATEWAY)
        self.applied = []
        self.failures = []
        self.bridge = None

    def connect(self, apply=None, late=False):
        self.bridge = Bridge(self.venue, apply or self.applied.append, late)
        return self.bridge

    def start(self):
        self.bridge.start(asyncio.get_running_loop(), self.failures.append)

    def step(self):
        """Let the engine do all it can, and wake the gateway as the engine's loop would."""
        while run_stages(self.stages) > 0:
            pass
        if self.bell.armed:
            wake(self.bell)

    async def applied_count(self, count):
        async with asyncio.timeout(30):
            while len(self.applied) < count and not self.failures:
                await asyncio.sleep(0)

    def close(self):
        if self.bridge is not None:
            self.bridge.close()
        os.close(self.bell.descriptor)


def new(bridge, **fields):
    order = {
        "kind": CommandKind.NEW,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "account": 1,
        "price_ticks": 45_000_00,
        "qty_lots": 1,
    }
    return bridge.submit(**(order | fields))
