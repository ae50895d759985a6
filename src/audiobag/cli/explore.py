"""audiobag-explore: a local page for some runs."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from audiobag.cli.command import Invocation, command
from audiobag.utils.console import say
from audiobag.utils.errors import InputError

if TYPE_CHECKING:
    from audiobag.cli.schema import ExploreOptions


def _explore(called: Invocation[ExploreOptions]) -> None:
    if importlib.util.find_spec("flask") is None:
        raise InputError("audiobag-explore needs flask: pip install 'audiobag[explore]'")
    from audiobag.explore import open_runs
    from audiobag.explore.app import load_models, make_app
    from audiobag.explore.serve import check_loopback, serve
    from audiobag.export import load
    from audiobag.training.devices import set_threads
    from audiobag.training.interruption import deferred, requested
    from audiobag.utils.values import check_whole, listed

    options = called.options
    check_loopback(options.host)
    check_whole("port", options.port, 0, ", or 0 for any free port")
    folders = [Path(str(folder)) for folder in listed(options.runs)]
    read = partial(load, allow=options.allow)
    opened = open_runs(folders, read, audio_url=options.audio_url, strong=options.strong)
    set_threads(1, devices=1)  # a few clips at a time are quicker so, the more on a busy machine
    load_models(opened)
    app = make_app(opened)
    with deferred():  # Ctrl-C is the normal way to end the command, not an interruption
        serve(app, options.host, options.port, _show, requested)


def _show(address: str) -> None:
    say(f"Explore: {address} (Ctrl-C ends it)")


main = command("explore", _explore, "runs")


if __name__ == "__main__":
    main()
