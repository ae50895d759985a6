"""audiobag-explore: a local page over a run, or two."""

from __future__ import annotations

import importlib.util
import sys
from functools import partial
from typing import Any

from audiobag.cli.command import command
from audiobag.cli.folders import name_folders
from audiobag.errors import UserError


def main() -> None:
    """Run the command; folders may stand on the command line as they are."""
    sys.argv[1:] = name_folders(sys.argv[1:])
    _main()


def _explore(config: dict[str, Any]) -> None:
    if importlib.util.find_spec("dash") is None:
        raise UserError("audiobag-explore needs dash: pip install 'audiobag[explore]'")
    from audiobag.explore import open_runs
    from audiobag.explore.app import make_app
    from audiobag.explore.serve import check_loopback, serve
    from audiobag.export import load
    from audiobag.interruption import deferred, requested
    from audiobag.values import check_whole, paths

    check_loopback(config["host"])
    check_whole("port", config["port"], 0, ", 0 for any that is free")
    opened = open_runs(paths("runs", config["runs"]), partial(load, allow=config["allow"]))
    app = make_app(opened)
    with deferred():  # Ctrl-C is how one ends it, and no interruption
        serve(app.server, config["host"], config["port"], _say, requested)


def _say(address: str) -> None:
    from rich.console import Console

    Console().print(f"Explore: {address} (Ctrl-C ends it)", soft_wrap=True, markup=False, highlight=False)


_main = command("explore", _explore)


if __name__ == "__main__":
    main()
