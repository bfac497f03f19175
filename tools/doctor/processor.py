"""Checks of the cores: how many, how undisturbed, how fast, and who else has them."""

from typing import Final

from engine.topology import SPREAD_CORES_MIN
from tools.doctor.check import FAIL, WARN, Check, Machine, Wanted, name_cores, parse_cores

CPU: Final = "/sys/devices/system/cpu"

STEAL_PERCENT_MAX: Final = 0.1
"""More than this and the tail of every latency is the host's, not ours."""


def check_processor(machine: Machine) -> list[Check]:
    """Cores, quota, isolation, siblings, governor, virtualization, steal."""
    return [
        check_cores(machine),
        check_quota(machine),
        *check_isolation(machine),
        check_siblings(machine),
        check_governor(machine),
        check_hypervisor(machine),
        check_steal(machine),
    ]


def last_core(machine: Machine) -> int:
    """The highest core number that this machine may have."""
    present = machine.text(f"{CPU}/present") or ""
    return max(parse_cores(present, 0) | set(machine.cores))


def check_cores(machine: Machine) -> Check:
    """Whether there are enough cores for each stage to have its own."""
    wanted = Wanted(
        "cores",
        f">= {SPREAD_CORES_MIN}: a core for each stage and one for the rest",
        WARN,
        "give okimi more cores (CPUAffinity= in the unit, the machine's or container's size); "
        "with fewer its stages share a process (layout compact)",
    )
    found = f"{len(machine.cores)} usable ({name_cores(machine.cores)})"
    return wanted.judge(len(machine.cores) >= SPREAD_CORES_MIN, found)


def check_quota(machine: Machine) -> Check:
    """Whether a control group stops all threads when a share of time is used up."""
    wanted = Wanted(
        "processor quota",
        "none",
        WARN,
        "remove it (CPUQuota= in the unit, --cpus of the container): a process that spins uses "
        "its quota up and is then stopped for the rest of each period",
    )
    limit = machine.text("/sys/fs/cgroup/cpu.max")
    if limit is None or limit.startswith("max"):
        return wanted.judge(True, "none")
    quota, _, period = limit.partition(" ")
    return wanted.judge(False, f"{quota} us of every {period} us")


def check_isolation(machine: Machine) -> list[Check]:
    """Whether scheduler, tick and RCU leave the stages' cores alone."""
    hot, last = set(machine.hot_cores), last_core(machine)
    listed = name_cores(hot)
    parameters = dict(
        word.partition("=")[::2] for word in (machine.text("/proc/cmdline") or "").split()
    )
    nohz = _cores_of(machine.text(f"{CPU}/nohz_full") or parameters.get("nohz_full", ""), last)
    facts = {
        "isolcpus": (
            _cores_of(machine.text(f"{CPU}/isolated") or "", last),
            f"isolcpus=managed_irq,domain,{listed}",
        ),
        "nohz_full": (nohz, f"nohz_full={listed}"),
        # The kernel offloads callbacks of nohz_full cores by itself.
        "rcu_nocbs": (
            _cores_of(parameters.get("rcu_nocbs", ""), last) | nohz,
            f"rcu_nocbs={listed}",
        ),
    }
    return [
        Wanted(
            name,
            f"cores {listed}" if hot else "nothing: no stage has a core of its own here",
            WARN,
            f"add {parameter} to GRUB_CMDLINE_LINUX in /etc/default/grub, run update-grub, reboot",
        ).judge(hot <= found, f"cores {name_cores(found)}" if found else "no cores")
        for name, (found, parameter) in facts.items()
    ]


def _cores_of(text: str, last: int) -> set[int]:
    """Like parse_cores; flags and forms that it does not know are no cores."""
    found: set[int] = set()
    for part in text.split(","):
        try:
            found |= parse_cores(part, last)
        except ValueError:
            continue
    return found


def check_siblings(machine: Machine) -> Check:
    """Whether a stage's core is one half of a physical core whose other half others may use."""
    wanted = Wanted(
        "hyper-threads",
        "no sibling beside the core of a stage",
        WARN,
        "echo off > /sys/devices/system/cpu/smt/control (kernel parameter nosmt), or take the "
        "siblings offline: echo 0 > /sys/devices/system/cpu/cpuN/online",
    )
    shared = []
    for core in machine.hot_cores:
        text = machine.text(f"{CPU}/cpu{core}/topology/thread_siblings_list") or str(core)
        siblings = parse_cores(text, core)
        if len(siblings) > 1:
            shared.append(name_cores(siblings))
    if shared:
        return wanted.judge(False, f"siblings {'; '.join(sorted(set(shared)))}")
    return wanted.judge(True, f"none beside cores {name_cores(machine.hot_cores) or 'of stages'}")


def check_governor(machine: Machine) -> Check:
    """Whether the cores keep their frequency."""
    wanted = Wanted(
        "frequency governor",
        "performance",
        WARN,
        "cpupower frequency-set -g performance, or tuned-adm profile latency-performance",
    )
    governors = {
        core: text
        for core in machine.cores
        if (text := machine.text(f"{CPU}/cpu{core}/cpufreq/scaling_governor")) is not None
    }
    if not governors:
        return wanted.judge(True, "not in the hands of this machine (no cpufreq driver)")
    slow = [core for core, governor in governors.items() if governor != "performance"]
    found = ", ".join(sorted(set(governors.values())))
    return wanted.judge(not slow, f"{found} (cores {name_cores(tuple(slow))})" if slow else found)


def check_hypervisor(machine: Machine) -> Check:
    """Whether a hypervisor may take cores away at any time."""
    wanted = Wanted(
        "hypervisor",
        "bare metal",
        WARN,
        "run on bare metal for steady tails; on a virtual machine ask for dedicated cores",
    )
    lines = (machine.text("/proc/cpuinfo") or "").splitlines()
    flags = next((line for line in lines if line.startswith("flags")), "")
    virtual = "hypervisor" in flags.split()
    return wanted.judge(not virtual, "virtual machine" if virtual else "bare metal")


def check_steal(machine: Machine) -> Check:
    """How much of the time since boot the host gave to others while this machine had work."""
    wanted = Wanted(
        "steal",
        f"<= {STEAL_PERCENT_MAX} % of the busy time",
        WARN,
        "move to a host that is not oversold, or ask for dedicated cores",
    )
    first = (machine.text("/proc/stat") or "").partition("\n")[0].split()
    if len(first) < 9 or first[0] != "cpu":
        return Check(
            "steal",
            "/proc/stat cannot be read",
            "a mounted /proc",
            FAIL,
            "mount /proc: okimi tells living processes from dead ones by it",
        )
    user, nice, system, _, _, irq, softirq, steal = map(int, first[1:9])
    busy = user + nice + system + irq + softirq + steal
    percent = 100 * steal / busy if busy else 0.0
    return wanted.judge(percent <= STEAL_PERCENT_MAX, f"{percent:.2f} % since boot")
