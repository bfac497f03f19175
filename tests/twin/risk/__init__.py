"""The naive risk stage: docs/risk.md in plain Python, one concept a module.

`Risk` decides and applies; `check_sums` asserts what must hold whatever has happened.
"""

from tests.twin.risk.conservation import check_sums
from tests.twin.risk.demands import Demand
from tests.twin.risk.rules import Setting
from tests.twin.risk.stage import Risk
from tests.twin.risk.state import Balance, Figures, Hold, Holding, Position

__all__ = [
    "Balance",
    "Demand",
    "Figures",
    "Hold",
    "Holding",
    "Position",
    "Risk",
    "Setting",
    "check_sums",
]
