"""`okimi bench durability`: what it costs to lose nothing, and how long it takes to be back.

`run` measures, `report.durability_table` shows. The disk without a venue: bare; acknowledgements of
a durable venue: answers; following, starting and snapshots over its journal: back; kills: pauses.
"""

from tools.bench.durability.report import durability_table as render
from tools.bench.durability.rounds import Effort as Effort
from tools.bench.durability.rounds import run as run

__all__ = ["Effort", "render", "run"]
