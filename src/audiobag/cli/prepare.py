"""audiobag-prepare: published records, packed features or a user's own embeddings to stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiobag.cli.command import command


def _prepare(config: dict[str, Any]) -> None:
    from rich.console import Console

    from audiobag.prepare import default_out, prepare
    from audiobag.processes import available_cores
    from audiobag.values import check_path

    out = config.pop("out")
    check_path("source", config["source"])
    check_path("out", out, optional=True)
    if config["processes"] is None:
        config["processes"] = available_cores()
    where = default_out(config["source"], config["size"]) if out is None else Path(out)
    console = Console(stderr=True)
    console.print(prepare(**config, out=where, console=console))


main = command("prepare", _prepare)


if __name__ == "__main__":
    main()
