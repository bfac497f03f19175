"""Market data that ships with okimi: a recording of a real exchange with its own checksums.

`kraken-2021-04-17.ws.xz` is the file KRAKEN.ws.50.0 of the sample data of cryptofeed
(github.com/bmoscon/cryptofeed), byte for byte, compressed: the order books of ten pairs over
version 1 of Kraken's WebSocket. Its licence lies beside it.
"""

from pathlib import Path
from typing import Final

KRAKEN: Final = Path(__file__).with_name("kraken-2021-04-17.ws.xz")
"""The recording, as `tools.replay.kraken` reads it."""
