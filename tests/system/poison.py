"""Stages that die of an order of a certain size, each time that they come to it.

In the place of a stage's step a kernel is called that looks at what comes next, and dies of it or
calls the step. A replica calls its stages by way of the same cells, so it dies of that, too.
"""

import ctypes

import llvmlite.binding

from engine.ingest import IngestPorts
from engine.intake import IngestState
from engine.matching import MatchingPorts, MatchingState
from engine.messages import Command, CommandKind, Decision, RejectReason, SequencedCommand
from engine.risk.stage import RiskPorts
from engine.risk.state import RiskState
from ipc.distant import distant, link
from ipc.jit import kernel
from ipc.ring import ready, slot

KILLS_INGEST, KILLS_RISK, KILLS_MATCHING = 661, 662, 663
"""Lots of an order that kills."""


@kernel
def plain_ingest(state: IngestState, ports: IngestPorts, message_max: int) -> int:
    """Stands for the step of the stage; its cell gets the address of that."""
    return 0


@kernel
def plain_risk(state: RiskState, ports: RiskPorts, message_max: int) -> int:
    return 0


@kernel
def plain_matching(state: MatchingState, ports: MatchingPorts, message_max: int) -> int:
    return 0


call_ingest = distant(plain_ingest)
call_risk = distant(plain_risk)
call_matching = distant(plain_matching)


@kernel
def deadly_ingest(state: IngestState, ports: IngestPorts, message_max: int) -> int:
    for index in range(ports.sources.count):
        inbox = ports.sources.sources[index]
        for ahead in range(ready(inbox.ring, inbox.cursor, message_max)):
            command = Command(slot(inbox.ring, inbox.cursor.position + ahead))
            new = command.kind == CommandKind.NEW
            assert not (new and command.qty_lots == KILLS_INGEST), "drill: ingest dies"
    return call_ingest(state, ports, message_max)


@kernel
def deadly_risk(state: RiskState, ports: RiskPorts, message_max: int) -> int:
    inbox = ports.commands
    for ahead in range(ready(inbox.ring, inbox.cursor, message_max)):
        command = SequencedCommand(slot(inbox.ring, inbox.cursor.position + ahead))
        new = command.kind == CommandKind.NEW and command.reason == RejectReason.NONE
        assert not (new and command.qty_lots == KILLS_RISK), "drill: risk dies"
    return call_risk(state, ports, message_max)


@kernel
def deadly_matching(state: MatchingState, ports: MatchingPorts, message_max: int) -> int:
    inbox = ports.decisions
    for ahead in range(ready(inbox.ring, inbox.cursor, message_max)):
        decision = Decision(slot(inbox.ring, inbox.cursor.position + ahead))
        new = decision.kind == CommandKind.NEW and decision.reason == RejectReason.NONE
        assert not (new and decision.qty_lots == KILLS_MATCHING), "drill: matching dies"
    return call_matching(state, ports, message_max)


call_deadly_ingest = distant(deadly_ingest)
call_deadly_risk = distant(deadly_risk)
call_deadly_matching = distant(deadly_matching)


def cell(module, name):
    """The cell of a distant kernel: by way of it, it is called."""
    address = llvmlite.binding.address_of_symbol(f"okimi.{module}.{name}")
    return ctypes.c_int64.from_address(address)


def poison():
    """Make the stages of this process, and of those that it forks, deadly. All must be linked."""
    link(call_deadly_ingest, IngestState, IngestPorts, int)
    link(call_deadly_risk, RiskState, RiskPorts, int)
    link(call_deadly_matching, MatchingState, MatchingPorts, int)
    steps = {
        "ingest": cell("engine.ingest", "step_ingest"),
        "risk": cell("engine.risk.stage", "step_risk"),
        "matching": cell("engine.matching", "step_matching"),
    }
    for name, step in steps.items():
        assert step.value != 0, "the stage is not linked"
        cell(__name__, f"plain_{name}").value = step.value
        step.value = cell(__name__, f"deadly_{name}").value
