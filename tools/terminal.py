"""What all commands share: where they print, the options that many have, the JSON object.

A group of commands lives in a file of its own and is added to the one of tools.cli.
"""

from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console

stdout = Console()
"""Results."""

stderr = Console(stderr=True)
"""Progress and messages."""

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object at the end.")
name_option = click.option("--name", help="Name of the venue.", default=None)
layout_option = click.option(
    "--layout", type=click.Choice(["auto", "spread", "compact"]), help="Processes and stages."
)
folder_argument = click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
"""The data folder of a venue."""


def emit(result: dict[str, Any], as_json: bool) -> None:
    """Print the JSON object when it was asked for."""
    if as_json:
        click.echo(orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY).decode())
