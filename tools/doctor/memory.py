"""Checks of memory: shared memory and its room, huge pages, swap."""

import os
from typing import Final

from engine.config import Config
from engine.intake import IngestState
from engine.matching import MatchingState
from engine.messages import MESSAGE_BYTES
from engine.reference import ReferenceData
from engine.risk.state import RiskState
from engine.topology import plan
from engine.venue import COUNTERS, REFERENCE
from ipc.counters import CountersFile
from ipc.ring import ring_bytes
from ipc.segment import SHARED_MEMORY, SegmentHeader
from tools.doctor.check import FAIL, OK, WARN, Check, Machine, Wanted, chosen
from tools.figures import size

HUGE: Final = "/sys/kernel/mm/transparent_hugepage"


def check_memory(machine: Machine, config: Config) -> list[Check]:
    """Shared memory, its room, huge pages of three kinds, swap."""
    needed = venue_bytes(config)
    return [
        check_mounted(machine),
        check_room(needed, _free_bytes(), config.venue.prefault),
        check_shmem_huge(machine, config.venue.huge_pages),
        check_reserved_huge(machine),
        check_transparent_huge(machine),
        check_defragmentation(machine),
        check_swap(machine),
    ]


def venue_bytes(config: Config) -> dict[str, int]:
    """Size of each segment of a venue, header included."""
    sizes = {
        COUNTERS: CountersFile.size,
        REFERENCE: ReferenceData.size,
        "state.ingest": IngestState.size,
        "state.risk": RiskState.size,
    }
    topology = plan(config, cores=[0])
    sizes |= {f"state.{shard}": MatchingState.size for shard in topology.shards}
    for ring in topology.rings:
        sizes[f"ring.{ring.name}"] = ring_bytes(ring.slots, MESSAGE_BYTES)
    return {name: octets + SegmentHeader.size for name, octets in sizes.items()}


def _free_bytes() -> int | None:
    try:
        room = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None
    return room.f_bavail * room.f_frsize


def check_mounted(machine: Machine) -> Check:
    """Whether there is a shared memory file system that can be written."""
    mount = f"mount -t tmpfs -o size=1g,mode=1777,nosuid,nodev tmpfs {SHARED_MEMORY}"
    wanted = Wanted(f"{SHARED_MEMORY}", "a tmpfs, writable", FAIL, mount)
    lines = (machine.text("/proc/mounts") or "").splitlines()
    kinds = [words[2] for line in lines if (words := line.split())[1:2] == [str(SHARED_MEMORY)]]
    if not kinds:
        return wanted.judge(False, "not mounted")
    writable = os.access(SHARED_MEMORY, os.W_OK | os.X_OK)
    found = f"{kinds[-1]}, {'writable' if writable else 'not writable'}"
    return wanted.judge(kinds[-1] == "tmpfs" and writable, found)


def check_room(needed: dict[str, int], free: int | None, prefault: bool) -> Check:
    """Whether a venue fits: each segment when it is made, all of them when they fill up."""
    largest, total = max(needed.values()), sum(needed.values())
    remedy = (
        f"mount -o remount,size={max(total * 2 >> 20, 1)}m {SHARED_MEMORY} (container: --shm-size; "
        "for good: in /etc/fstab), or run `okimi clean`"
    )
    # Pages are taken when they are first written: a venue starts with less than it may need.
    cannot_start = free is None or free < (total if prefault else largest)
    wanted = Wanted(
        f"{SHARED_MEMORY} room",
        f">= {size(total)} free for a venue (largest segment {size(largest)})",
        FAIL if cannot_start else WARN,
        remedy if cannot_start else f"{remedy}: a venue that fills its tables would be killed",
    )
    return wanted.judge(
        free is not None and free >= total, "unknown" if free is None else f"{size(free)} free"
    )


def check_shmem_huge(machine: Machine, configured: bool) -> Check:
    """Whether shared memory can have huge pages when the configuration asks for them."""
    wanted = Wanted(
        "shared huge pages",
        "advise" + ("" if configured else " (for venue.huge_pages = true, which is off)"),
        WARN,
        f"echo advise > {HUGE}/shmem_enabled (for good: 'w {HUGE}/shmem_enabled - - - - advise' "
        "in /etc/tmpfiles.d/okimi.conf), and set venue.huge_pages = true",
    )
    found = chosen(machine.text(f"{HUGE}/shmem_enabled") or "not supported by this kernel")
    return wanted.judge(found in ("advise", "within_size", "always", "force"), found)


def check_reserved_huge(machine: Machine) -> Check:
    """Whether memory is set aside for huge pages that okimi does not take."""
    wanted = Wanted(
        "reserved huge pages",
        "none unused: okimi takes transparent ones",
        WARN,
        "sysctl vm.nr_hugepages=0, unless another program needs them",
    )
    facts = {}
    for line in (machine.text("/proc/meminfo") or "").splitlines():
        key, _, value = line.partition(":")
        facts[key] = int(value.split()[0])
    total, free = facts.get("HugePages_Total", 0), facts.get("HugePages_Free", 0)
    held = size(free * facts.get("Hugepagesize", 0) * 1024)
    return wanted.judge(free == 0, f"{free} of {total} unused ({held})" if total else "none")


def check_transparent_huge(machine: Machine) -> Check:
    """Whether the kernel merges pages of everyone behind their back."""
    wanted = Wanted(
        "transparent huge pages",
        "madvise or never",
        WARN,
        f"echo madvise > {HUGE}/enabled (at boot: transparent_hugepage=madvise)",
    )
    found = chosen(machine.text(f"{HUGE}/enabled") or "not supported by this kernel")
    return wanted.judge(found != "always", found)


def check_defragmentation(machine: Machine) -> Check:
    """Whether a page fault may stop to compact memory."""
    wanted = Wanted(
        "huge page defragmentation",
        "madvise, defer or never",
        WARN,
        f"echo madvise > {HUGE}/defrag: a page fault waits for compaction otherwise",
    )
    found = chosen(machine.text(f"{HUGE}/defrag") or "not supported by this kernel")
    return wanted.judge(found != "always", found)


def check_swap(machine: Machine) -> Check:
    """Whether pages of the venue can be moved to a disk."""
    name, wish = "swap", "none"
    devices = (machine.text("/proc/swaps") or "").splitlines()[1:]
    if not devices:
        return Check(name, "none", wish, OK, "")
    swappiness = machine.text("/proc/sys/vm/swappiness") or "unknown"
    found = f"{', '.join(line.split()[0] for line in devices)}, swappiness {swappiness}"
    return Check(
        name,
        found,
        wish,
        WARN,
        "swapoff -a (and /etc/fstab), or MemorySwapMax=0 in the unit, or venue.mlock = true",
    )
