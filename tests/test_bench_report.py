"""The report of `make bench`: every target has a verdict, also where nothing was measured."""

from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks.report import page
from benchmarks.targets import MET, at_least, at_most, rate, targets, times

HOST = {
    "cpu": "CPU",
    "cores": 1,
    "cores_used": [0],
    "kernel": "6",
    "python": "3",
    "numba": "0",
    "commit": None,
}
RATES = {"msgs_per_s": 5e6, "msgs_per_s_min": 4e6, "msgs_per_s_max": 6e6}


def spread(name: str, value: float | None) -> dict[str, float | None]:
    return {name: value, f"{name}_min": value, f"{name}_max": value}


COST = {"group": "stages", "ns": 50.0, "ns_min": 49, "ns_max": 51}
NOISE = {"core": 0, "worst_ns": 5_000, "lost_share": 0.01}
STAGE = {"count": 1, "p50": 1, "p99": 2, "p999": 3, "max": 4}
KINDS = {
    "workload": "mixed",
    "clock": "TSC",
    "clock_ns": 10,
    "clock_step_ns": 5,
    "kinds": {"cancel": STAGE},
}


def risk_result() -> dict[str, Any]:
    """The same of the risk stage: a check that takes too long, a ratio that just will do."""
    return {
        "check_ns_100_symbols": 30.0,
        "engine_on_off_ratio": 1.3,
        "stage": [
            {
                "kind": "cash",
                "checks": True,
                "symbols": 100,
                **spread("check_ns", 30.0),
                **spread("steady_ns", 20.0),
                **spread("stage_ns", 37.5),
                **spread("cancel_ns", 10.0),
                **spread("fill_ns", 11.0),
            }
        ],
        **spread("copy_ns", 7.5),
        "engine": [
            {
                "symbols": 1,
                **spread("on_commands_per_s", 2e6),
                **spread("off_commands_per_s", 2.6e6),
                "on_off_ratio": 1.3,
            }
        ],
        "accounts": 1000,
        "backlog": 8192,
        "repeats": 1,
        "realtime": False,
        "not_included": ["amendments"],
    }


def durability_result() -> dict[str, Any]:
    """The same of durability: replay that is too slow, a start that is fast enough."""
    figures = dict.fromkeys(("p50_us", "p99_us", "p999_us", "max_us"), 300.0)
    row = {"count": 2, "pause_ms_p50": 80.0, "pause_ms_max": 90.0, "ready_ms_p50": 100.0}
    return {
        **dict.fromkeys(("fsync_p50_us", "fsync_p99_us", "fsync_max_us"), 150.0),
        **spread("durable_cmds_per_s", 4e5),
        "rates": [{"rate": 10_000, "achieved": 10_000, **figures}],
        "ack_rate": 10_000,
        "ack_p50_us": 300.0,
        "ack_p99_us": 300.0,
        "replay_cmds_per_s": 5_000_000,
        "replay_checked_cmds_per_s": 2_000_000,
        "snapshot_seconds": 0.1,
        "snapshot_load_seconds": 0.1,
        "snapshot_bytes": 1 << 24,
        "starts": {"0": 1.0, "1000000": 1.5, "1000000 with a snapshot": 1.1},
        "ready_seconds_1m": 1.5,
        "ready_seconds_10m": None,
        "pauses": {"compact": {"journal": row}},
        "layout": "compact",
        "realtime": False,
        "not_included": ["gateways"],
    }


def results() -> dict[str, dict[str, Any]]:
    """What the benchmarks say on a machine with one core, where no rate was reached."""
    scenario = {
        **spread("in_process_msgs_per_s", 21e6),
        **spread("ring_msgs_per_s", None),
        **spread("plain_msgs_per_s", 30e6),
        **spread("direct_msgs_per_s", 25e6),
        **spread("native_msgs_per_s", None),
        "plain_cost": 1.2,
        "native_ratio": None,
        "direct_native_ratio": None,
        "messages": 1000,
        "trades": 10,
    }
    peer = {
        "about": "a book",
        "messages": 100,
        "trades": 1,
        "compared": ["trades"],
        "agrees": False,
        "ours_ratio": 30.0,
        **RATES,
        **spread("ours_msgs_per_s", 20e6),
    }
    row = {"rate": 50_000, "achieved": 25_000, **STAGE, "stages": {"risk": STAGE}}
    return {
        "ring": {"raw_line_rtt_p50": None, "results": [], "reason": "one core", "host": HOST},
        "book": {
            "scenarios": {"static": scenario},
            "symbols100": scenario,
            "worst_in_process_msgs_per_s": 21e6,
            "worst_ring_msgs_per_s": None,
            "symbols100_cmds_per_s": 21e6,
            "worst_plain_cost": 1.2,
            "worst_native_ratio": None,
            "native": {"compiler": None, "absent": "no C++ compiler", "about": "It has no rings"},
            "commands": KINDS,
            "peers": {"plain": 5e6},
            "peer_details": {"plain": peer},
            "peer_scenario": "static",
            "peers_absent": {"absent": "not installed"},
            "workload": "generated",
            "repeats": 1,
            "realtime": False,
            "not_included": ["risk"],
        },
        "risk": risk_result(),
        "durability": durability_result(),
        "engine": {
            **spread("commands_per_s", 2e6),
            **spread("reference_commands_per_s", 3e6),
            "ratio": 0.66,
            "reference": "one thread",
            "rates": [row],
            "layout": "compact",
            "processes": [{"name": "engine", "stages": ["risk"], "cpu": 0}],
            "repeats": 1,
            "realtime": False,
            "noisy": True,
            "noise_floor": [NOISE],
            "not_included": ["gateways"],
            "host": HOST,
        },
        "costs": {"match_an_order": COST},
    }


@pytest.mark.parametrize(
    ("target", "verdict"),
    [
        (at_least("x", 10e6, 10e6, rate), MET),
        (at_least("x", 10e6, 8e6, rate), "missed by 25.0%"),
        (at_least("x", 10e6, 2e6, rate), "missed by a factor of 5.0"),
        (at_least("x", 10e6, None, rate), "not measured"),
        (at_most("x", 1.2, 1.2, times), MET),
        (at_most("x", 1.2, 1.5, times), "missed by 25.0%"),
        (at_most("x", 1.2, None, times), "not measured"),
    ],
)
def test_a_target_says_by_how_much_it_is_missed(target: Any, verdict: str) -> None:
    assert target.verdict == verdict


def test_what_was_not_measured_is_not_called_met() -> None:
    verdicts = {target.what: target.verdict for target in targets(results())}
    met = {what for what, verdict in verdicts.items() if verdict == MET}
    assert met == {
        "matching in process, worst of five (generated)",
        "100 symbols, 300k resting orders, in process",
        "the engine's time with all checks on, of that with none",
        "ready after a failure of the machine, 1 M commands to do again",
    }
    check = next(verdict for what, verdict in verdicts.items() if what.startswith("a new order's"))
    assert check == "missed by 20.0%"
    assert verdicts["matching through rings, worst of five (generated)"] == "not measured"
    plain = next(verdict for what, verdict in verdicts.items() if what.startswith("plain orders"))
    assert plain == "missed by 4.3%"


def test_what_has_no_number_to_reach_is_shown_all_the_same() -> None:
    rows = {target.what: target for target in targets(results())}
    beside = "matching in process, worst of five, beside"
    assert rows[f"{beside} the fastest of plain"].reached == "4.20 x"
    assert rows[f"{beside} its own design in C++ without rings"].reached == "-"


def test_the_challenge_is_judged_where_its_files_were_given() -> None:
    given = results()
    given["challenge"] = given["book"] | {
        "workload": "challenge files",
        "worst_in_process_msgs_per_s": 19e6,
    }
    verdicts = {target.what: target.verdict for target in targets(given)}
    assert verdicts["matching in process, worst of five (challenge files)"] == "missed by 5.3%"


def test_the_page_says_what_is_missing() -> None:
    text = page(results(), ["okimi bench book"], datetime(2026, 1, 2, tzinfo=UTC))
    for said in (
        "Not measured: one core",
        "absent: not installed",
        "**NOT trades**",
        "C++: not measured: no C++ compiler",
        "Two reads of the clock (TSC, 10 ns, in steps of 5 ns)",
        "not a git checkout",
        "2026-01-02",
        "The tails are the machine's",
        "| cash, all checks on | 100 | 30.0 (30.0-30.0) |",
        "ordinary priority",
        "| 1,000,000 with a snapshot | 1.1 s |",
        "| compact: journal | 2 | 80.0 | 90.0 | 100.0 |",
    ):
        assert said in text
