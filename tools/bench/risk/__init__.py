"""`okimi bench risk`: what the risk stage costs an order, alone and within the engine.

`run` measures, `render` shows. What the venue and the orders are like: load; the stage with its
rings and what is timed: stand; all settings in turn: rounds; ingest, risk and matching: whole.
"""

from tools.bench.risk.report import risk_table as render
from tools.bench.risk.rounds import Effort as Effort
from tools.bench.risk.rounds import run as run

__all__ = ["Effort", "render", "run"]
