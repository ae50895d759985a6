"""audiobag-export: a checkpoint to a folder that can be shared."""

from __future__ import annotations

from typing import Any

from audiobag.cli.command import command


def _export(config: dict[str, Any]) -> None:
    from rich.console import Console

    from audiobag.export import export

    written = export(config)
    console = Console(highlight=False)
    if written.difference is not None:
        console.print(f"Checked on clips of the store: within {written.difference:.2g} of PyTorch", markup=False)
    console.print(f"Export: {written.folder} ({', '.join(written.files)})", soft_wrap=True, markup=False)


main = command("export", _export)


if __name__ == "__main__":
    main()
