"""audiobag-export: write a checkpoint or an ensemble to a folder that can be shared."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from audiobag.cli.command import Invocation, command
from audiobag.cli.unused import refuse_unused
from audiobag.utils.console import say

if TYPE_CHECKING:
    from audiobag.cli.schema import ExportOptions


def _export(called: Invocation[ExportOptions]) -> None:
    from audiobag.cli.members import members
    from audiobag.export import write_export

    options = asdict(called.options)
    named = members(options.pop("checkpoint"), options.pop("runs"))
    if len(named) > 1:
        refuse_unused(["replicates"], "on an ensemble, whose card has no intervals")
        if options["format"] == "safetensors":
            refuse_unused(["store"], "on an ensemble without a graph")
    written = write_export(named, **options)
    if written.difference is not None:
        say(f"Checked on clips of the store: within {written.difference:.2g} of PyTorch")
    say(f"Export: {written.folder} ({', '.join(written.files)})")


main = command("export", _export)


if __name__ == "__main__":
    main()
