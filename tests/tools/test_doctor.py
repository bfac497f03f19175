"""`okimi doctor`: each check against a machine as it should be and as it should not be."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import RenderableType

from engine.config import load
from engine.venue import VenueMemory, segment_name
from ipc import segment
from tools import doctor
from tools.doctor import FAIL, OK, WARN, Check, clocks, limits, memory, processor, software
from tools.doctor.check import Machine, name_cores, parse_cores

CPU = "sys/devices/system/cpu"
THP = "sys/kernel/mm/transparent_hugepage"
STAT = "cpu 1000 0 500 90000 0 0 0 {steal} 0 0\ncpu0 1 2 3\n"


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., Machine]:
    """A function that makes a machine from the content of files below its root."""

    def make(files: dict[str, str], hot: tuple[int, ...] = (2, 3)) -> Machine:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return Machine(cores=(0, 1, 2, 3), hot_cores=hot, root=tmp_path)

    return make


# --- as a whole --------------------------------------------------------------------------------


def test_this_machine_is_examined() -> None:
    checks = doctor.examine()
    names = [check.name for check in checks]
    assert len(set(names)) == len(names)
    for check in checks:
        assert check.severity in (OK, WARN, FAIL)
        assert check.found
        assert check.wanted
        assert bool(check.remedy) == (check.severity != OK)
    assert set(dataclasses.asdict(checks[0])) == {"name", "found", "wanted", "severity", "remedy"}
    working = {check.name: check.severity for check in checks}
    for name in ("python", "numpy", "numba", "llvmlite", "architecture", "/dev/shm"):
        assert working[name] == OK  # this test would not run otherwise
    assert doctor.failed(checks) == sum(check.severity == FAIL for check in checks)


def test_the_table_says_what_to_do(shown: Callable[[RenderableType], str]) -> None:
    checks = [
        Check("swap", "none", "none", OK, ""),
        Check("isolcpus", "no cores", "cores 2-3", WARN, "boot with isolcpus=2-3"),
        Check("gateway port", "127.0.0.1:8080: in use", "free", FAIL, "choose another"),
    ]
    text = shown(doctor.render(checks))
    assert "3 checks: 1 failed, 1 warnings" in text
    assert text.index("gateway port: choose another") < text.index("isolcpus: boot with isolcpus")


def test_a_check_without_a_remedy_is_refused() -> None:
    with pytest.raises(AssertionError, match="remedy"):
        Check("swap", "some", "none", WARN, "")


@pytest.mark.parametrize(
    ("text", "cores"),
    [("", set()), ("0", {0}), ("1-3,6", {1, 2, 3, 6}), ("all", {0, 1, 2, 3, 4}), ("3-N", {3, 4}),
     ("(null)", set())],
)  # fmt: skip
def test_lists_of_cores(text: str, cores: set[int]) -> None:
    assert parse_cores(text, 4) == cores
    assert parse_cores(name_cores(cores), 4) == cores


# --- checks of files: as wanted, and not ---------------------------------------------------------


@pytest.mark.parametrize(
    ("check", "good", "bad", "word"),
    [
        (
            processor.check_quota,
            {"sys/fs/cgroup/cpu.max": "max 100000"},
            {"sys/fs/cgroup/cpu.max": "150000 100000"},
            "150000 us of every 100000 us",
        ),
        (
            processor.check_siblings,
            {f"{CPU}/cpu2/topology/thread_siblings_list": "2"},
            {f"{CPU}/cpu2/topology/thread_siblings_list": "2,6"},
            "2,6",
        ),
        (
            processor.check_governor,
            {f"{CPU}/cpu{core}/cpufreq/scaling_governor": "performance" for core in range(4)},
            {f"{CPU}/cpu3/cpufreq/scaling_governor": "powersave"},
            "powersave (cores 3)",
        ),
        (
            processor.check_hypervisor,
            {"proc/cpuinfo": "processor: 0\nflags\t\t: fpu tsc sse2\n"},
            {"proc/cpuinfo": "processor: 0\nflags\t\t: fpu tsc hypervisor sse2\n"},
            "virtual",
        ),
        (
            processor.check_steal,
            {"proc/stat": STAT.format(steal=1)},
            {"proc/stat": STAT.format(steal=500)},
            "25.00 %",
        ),
        (
            clocks.check_source,
            {"sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc"},
            {"sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet"},
            "hpet",
        ),
        (
            memory.check_transparent_huge,
            {f"{THP}/enabled": "always [madvise] never"},
            {f"{THP}/enabled": "[always] madvise never"},
            "always",
        ),
        (
            memory.check_defragmentation,
            {f"{THP}/defrag": "always defer defer+madvise [madvise] never"},
            {f"{THP}/defrag": "[always] defer defer+madvise madvise never"},
            "always",
        ),
        (
            memory.check_reserved_huge,
            {"proc/meminfo": "HugePages_Total: 4\nHugePages_Free: 0\nHugepagesize: 2048 kB\n"},
            {"proc/meminfo": "HugePages_Total: 4\nHugePages_Free: 3\nHugepagesize: 2048 kB\n"},
            "3 of 4 unused (6.00 MiB)",
        ),
        (
            memory.check_swap,
            {"proc/swaps": "Filename Type Size Used Priority\n"},
            {
                "proc/swaps": "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n",
                "proc/sys/vm/swappiness": "60",
            },
            "/dev/sda2, swappiness 60",
        ),
    ],
)
def test_a_setting_as_wanted_and_not(
    machine: Callable[..., Machine],
    check: Callable[[Machine], Check],
    good: dict[str, str],
    bad: dict[str, str],
    word: str,
) -> None:
    assert check(machine(good)).severity == OK
    found = check(machine(bad))
    assert found.severity == WARN
    assert word in found.found


def test_isolation_is_wanted_for_the_cores_of_stages(machine: Callable[..., Machine]) -> None:
    files = {
        f"{CPU}/present": "0-3",
        f"{CPU}/isolated": "2-3",
        f"{CPU}/nohz_full": "3",
        "proc/cmdline": "quiet rcu_nocbs=3-N isolcpus=managed_irq,domain,2-3",
    }
    isolated, nohz, callbacks = processor.check_isolation(machine(files))
    assert (isolated.severity, isolated.found) == (OK, "cores 2-3")
    assert (nohz.severity, nohz.found) == (WARN, "cores 3")
    assert "nohz_full=2-3" in nohz.remedy
    assert (callbacks.severity, callbacks.found) == (WARN, "cores 3")
    files |= {f"{CPU}/nohz_full": "2-3"}
    assert [check.severity for check in processor.check_isolation(machine(files))] == [OK] * 3
    none = processor.check_isolation(machine({f"{CPU}/isolated": "", "proc/cmdline": ""}, hot=()))
    assert [check.severity for check in none] == [OK] * 3


def test_few_cores_are_a_warning() -> None:
    few, enough = Machine(cores=(0, 1), hot_cores=(1,)), Machine(cores=(0, 1, 2, 3), hot_cores=(3,))
    assert processor.check_cores(few).severity == WARN
    assert processor.check_cores(enough).severity == OK


def test_an_unreadable_proc_is_a_failure(machine: Callable[..., Machine]) -> None:
    assert processor.check_steal(machine({})).severity == FAIL


# --- software ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "severity"), [((3, 10, 9), FAIL), ((3, 11, 0), OK), ((3, 14, 1), OK)]
)
def test_python(version: tuple[int, ...], severity: str) -> None:
    assert software.check_python(version).severity == severity


def test_packages_are_compared_with_what_the_distribution_asks_for() -> None:
    assert software.required_version("numba") >= (0, 61)
    assert software.check_package("numba").severity == OK
    missing = software.check_package("okimi-has-no-such-package")
    assert (missing.severity, missing.found) == (FAIL, "not installed")


@pytest.mark.parametrize(
    ("release", "severity"), [("6.8.0-51-generic", OK), ("5.14.0", OK), ("5.4.0-200-generic", WARN)]
)
def test_kernel(release: str, severity: str) -> None:
    assert software.check_kernel(release).severity == severity


def test_architecture() -> None:
    assert software.check_architecture("x86_64").severity == OK
    assert software.check_architecture("aarch64").severity == FAIL


# --- memory and limits -------------------------------------------------------------------------


def test_the_room_of_a_venue_is_computed_as_it_is_made(venue: VenueMemory) -> None:
    name = venue.config.venue.name
    made = {
        part.removeprefix(segment_name(name, "")): (segment.SHARED_MEMORY / part).stat().st_size
        for part in segment.names(segment_name(name, ""))
    }
    assert memory.venue_bytes(venue.config) == made


@pytest.mark.parametrize(
    ("free", "prefault", "severity"),
    [
        (None, False, FAIL),
        (99, False, FAIL),
        (100, False, WARN),
        (149, True, FAIL),
        (150, False, OK),
        (150, True, OK),
    ],
)
def test_room_in_shared_memory(free: int | None, prefault: bool, severity: str) -> None:
    needed = {"state.matching": 100, "counters": 50}
    assert memory.check_room(needed, free, prefault).severity == severity


def test_shared_memory_must_be_mounted(machine: Callable[..., Machine]) -> None:
    assert (
        memory.check_mounted(machine({"proc/mounts": "proc /proc proc rw 0 0\n"})).severity == FAIL
    )
    mounted = {"proc/mounts": "tmpfs /dev/shm tmpfs rw,nosuid 0 0\n"}
    assert memory.check_mounted(machine(mounted)).severity == OK


def test_huge_pages_for_shared_memory(machine: Callable[..., Machine]) -> None:
    good = machine({f"{THP}/shmem_enabled": "always within_size [advise] never deny force"})
    assert memory.check_shmem_huge(good, True).severity == OK
    bad = machine({f"{THP}/shmem_enabled": "always within_size advise [never] deny force"})
    assert memory.check_shmem_huge(bad, True).severity == WARN


def test_locked_memory(machine: Callable[..., Machine]) -> None:
    config = load(overrides={"venue.durability": "memory"})
    without = machine({"proc/self/status": "CapEff:\t0000000000000000\n"})
    assert limits.check_memlock(without, 8 << 20, config).severity == WARN
    assert limits.check_memlock(without, -1, config).severity == OK
    lifted = machine({"proc/self/status": "CapEff:\t0000000000004000\n"})
    assert limits.check_memlock(lifted, 8 << 20, config).severity == OK


def test_open_files() -> None:
    assert limits.check_files(1024, 1 << 20).severity == WARN
    assert limits.check_files(65_536, 65_536).severity == OK
    assert limits.check_files(-1, -1).severity == OK


def test_real_time_priority(machine: Callable[..., Machine]) -> None:
    throttled = machine({"proc/sys/kernel/sched_rt_runtime_us": "950000"})
    assert limits.check_priority(throttled, 0).severity == OK
    assert limits.check_priority(throttled, 99).severity == WARN
    free = machine({"proc/sys/kernel/sched_rt_runtime_us": "-1"})
    assert limits.check_priority(free, 99).severity == OK
