"""Peers of the ring: the standard library's queue and pipe, pyzmq, and a plain ring in C.

The Python peers are called once a message, as they are meant to be. Their messages are made before
the clock runs and compared after it has stopped. A peer that is missing is named with its reason.
"""

import ctypes
import importlib
import multiprocessing
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from ipc.clock import TSC
from tools.bench.ring.ours import payloads
from tools.bench.ring.pair import SLOTS, Arena, Contestant, SampleFailed, Samples, now_ns, warm_up

C_SOURCE: Final = Path(__file__).with_name("spsc.c")
C_FLAGS: Final = ("-std=gnu11", "-O3", "-march=native", "-shared", "-fPIC")


class Port(NamedTuple):
    """One end of a channel of byte strings, opened by the process that uses it."""

    send: Callable[[bytes], object]
    receive: Callable[[], bytes]
    close: Callable[[], object]


class Channel(NamedTuple):
    """Both ends, each to be opened after the fork."""

    left: Callable[[], Port]
    right: Callable[[], Port]


class Peers(NamedTuple):
    """Who takes part, who does not and why, and what compiled the C ring."""

    contestants: list[Contestant]
    skipped: dict[str, str]
    compiler: str | None


Open = Callable[[], AbstractContextManager[Channel]]
"""Makes a channel for one sample: a context manager, entered before the fork."""


def exchange(port: Port, sent: list[bytes]) -> tuple[list[bytes], list[int]]:
    """Send each message, wait for it to come back, and so on; returns them and the times in ns."""
    got, nanos = [], []
    before = time.perf_counter_ns()
    for message in sent:
        port.send(message)
        got.append(port.receive())
        after = time.perf_counter_ns()
        nanos.append(after - before)
        before = after
    return got, nanos


def check(got: list[bytes], sent: list[bytes]) -> None:
    """Raises SampleFailed when a message differs."""
    if got != sent:
        raise SampleFailed("what was read is not what was sent")


def per_message(name: str, open_channel: Open, share: float) -> Contestant:
    """A peer that Python calls once for each message."""

    def throughput(arena: Arena, messages: int) -> float:
        arena.clear()
        tally, warm = arena.duel.tally, warm_up(messages)
        sent = [row.tobytes() for row in payloads(messages)]

        def left(port: Port) -> None:
            arena.meet(0)
            for message in sent:
                port.send(message)
            port.receive()  # the other side has everything
            port.close()

        def right(port: Port) -> None:
            arena.meet(1)
            got = [port.receive() for _ in range(warm)]
            tally.began_ns = now_ns()
            got += [port.receive() for _ in range(messages - warm)]
            tally.ended_ns = now_ns()
            port.send(b"done")
            port.close()
            check(got, sent)

        with open_channel() as channel:
            arena.run(lambda: left(channel.left()), lambda: right(channel.right()))
        return arena.rate(messages - warm)

    def round_trips(arena: Arena, trips: int) -> Samples:
        arena.clear()
        sent = [row.tobytes() for row in payloads(trips)]

        def left(port: Port) -> None:
            arena.meet(0)
            got, nanos = exchange(port, sent)
            port.close()
            arena.store_samples_ns(nanos)
            check(got, sent)

        def right(port: Port) -> None:
            arena.meet(1)
            for _ in sent:
                port.send(port.receive())
            port.close()

        with open_channel() as channel:
            arena.run(lambda: left(channel.left()), lambda: right(channel.right()))
        return arena.samples_ns(trips)

    return Contestant(name, "peer", "Python", 1, throughput, round_trips, share, 1_000)


@contextmanager
def queue_channel() -> Iterator[Channel]:
    """Two multiprocessing.Queue."""
    context = multiprocessing.get_context("fork")
    there, back = context.Queue(), context.Queue()

    def port(writer: Any, reader: Any) -> Port:
        def close() -> None:
            writer.close()
            writer.join_thread()  # its feeder thread may still hold messages

        return Port(writer.put, reader.get, close)

    try:
        yield Channel(lambda: port(there, back), lambda: port(back, there))
    finally:
        there.close()
        back.close()


@contextmanager
def pipe_channel() -> Iterator[Channel]:
    """One duplex multiprocessing.Pipe."""
    left, right = multiprocessing.Pipe(duplex=True)

    def port(end: Any) -> Port:
        return Port(end.send_bytes, end.recv_bytes, end.close)

    try:
        yield Channel(lambda: port(left), lambda: port(right))
    finally:
        left.close()
        right.close()


@contextmanager
def zmq_channel() -> Iterator[Channel]:
    """A pair of PAIR sockets over ipc."""
    zmq: Any = importlib.import_module("zmq")
    with tempfile.TemporaryDirectory(prefix="okimi-bench-") as folder:
        path = f"ipc://{folder}/pair"

        def port(bind: bool) -> Port:
            context = zmq.Context()
            socket = context.socket(zmq.PAIR)
            socket.bind(path) if bind else socket.connect(path)
            return Port(socket.send, socket.recv, lambda: context.destroy(linger=5000))

        yield Channel(lambda: port(True), lambda: port(False))


# --- C ---------------------------------------------------------------------------------------


def build_c_ring(folder: Path) -> tuple[Any, str]:
    """Compile spsc.c into `folder`; returns the library and the compiler's name and version.

    Raises FileNotFoundError without a compiler, CalledProcessError when it fails.
    """
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise FileNotFoundError("no C compiler (cc, gcc, clang) was found")
    target = folder / "spsc.so"
    command = [compiler, *C_FLAGS, str(C_SOURCE), "-o", str(target)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    library = ctypes.CDLL(str(target))
    for name in ("init", "send", "receive", "ping", "pong"):
        getattr(library, f"ring_{name}").restype = None
    library.ring_bytes.restype = ctypes.c_int64
    return library, version.stdout.splitlines()[0]


def c_ring(library: Any, batch: int) -> Contestant:
    """The C ring with the loops of spsc.c; Python only starts them."""
    number, pointer = ctypes.c_int64, ctypes.c_void_p

    def fresh(arena: Arena) -> list[ctypes.c_void_p]:
        arena.clear()
        for area in arena.areas:
            library.ring_init(pointer(area), number(SLOTS))
        return [pointer(area) for area in arena.areas]

    def throughput(arena: Arena, messages: int) -> float:
        ring, _ = fresh(arena)
        warm, tally = warm_up(messages), pointer(arena.duel.tally.address)

        def left() -> None:
            arena.meet(0)
            library.ring_send(ring, number(messages), number(batch))

        def right() -> None:
            arena.meet(1)
            library.ring_receive(ring, tally, number(warm), number(messages), number(batch))

        arena.run(left, right)
        arena.verify(messages)
        return arena.rate(messages - warm)

    def round_trips(arena: Arena, trips: int) -> Samples:
        out, back = fresh(arena)
        tally, samples = pointer(arena.duel.tally.address), pointer(arena.duel.samples)
        tsc = ctypes.c_int(arena.duel.clock.source == TSC)

        def left() -> None:
            arena.meet(0)
            library.ring_ping(out, back, tally, samples, number(trips), tsc)

        def right() -> None:
            arena.meet(1)
            library.ring_pong(out, back, number(trips))

        arena.run(left, right)
        arena.verify(trips)
        return arena.samples_ns(trips)

    name = f"C index ring, batch {batch}"
    return Contestant(name, "peer", "C", batch, throughput, round_trips, 1.0, 20_000)


def find_peers(folder: Path) -> Peers:
    """Everybody who can take part; `folder` is for what has to be compiled."""
    found = [
        per_message("multiprocessing.Queue", queue_channel, 0.01),
        per_message("multiprocessing.Pipe", pipe_channel, 0.01),
    ]
    skipped, compiler = {}, None
    try:
        library, compiler = build_c_ring(folder)
        found += [c_ring(library, batch) for batch in (1, 32)]
    except FileNotFoundError as error:
        skipped["C index ring"] = str(error)
    except subprocess.CalledProcessError as error:
        skipped["C index ring"] = f"the compiler failed: {(error.stderr or '').strip()[:200]}"
    try:
        importlib.import_module("zmq")
        found.append(per_message("pyzmq ipc PAIR", zmq_channel, 0.05))
    except ImportError:
        skipped["pyzmq ipc PAIR"] = "pyzmq is not installed (the extra okimi[bench] has it)"
    return Peers(found, skipped, compiler)
