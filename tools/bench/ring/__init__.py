"""`okimi bench ring`: two pinned processes pass 64-byte messages, ours and peers in turn.

`run` measures, `render` shows. What is measured: loops; how: pair; where: placement; who takes
part: ours, peers; in which order and what of it counts: rounds.
"""

from tools.bench.ring.report import render as render
from tools.bench.ring.rounds import run as run
