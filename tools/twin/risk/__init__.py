"""The naive risk stage: docs/risk.md in plain Python, one concept a module.

`Risk` decides and applies; `check_sums` asserts what must hold whatever has happened.
"""

from tools.twin.risk.conservation import check_sums
from tools.twin.risk.demands import Demand
from tools.twin.risk.rules import Setting
from tools.twin.risk.settings import Settings
from tools.twin.risk.stage import Risk
from tools.twin.risk.state import Balance, Figures, Hold, Holding, Position

__all__ = [
    "Balance",
    "Demand",
    "Figures",
    "Hold",
    "Holding",
    "Position",
    "Risk",
    "Setting",
    "Settings",
    "check_sums",
]
