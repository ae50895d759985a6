"""audiobag-embed: sound files to embeddings to stores."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from audiobag.cli.command import Invocation, command
from audiobag.cli.unused import refuse_unused

if TYPE_CHECKING:
    from audiobag.cli.schema import EmbedOptions

_READING = ("channels", "pad_short", "batch_size", "device", "precision")


def _embed(called: Invocation[EmbedOptions]) -> None:
    from rich.console import Console

    from audiobag.cli.assemble import build
    from audiobag.sound import Reading, embed

    options, console = asdict(called.options), Console(stderr=True)
    if options["source"] != "synthetic-sounds":
        refuse_unused(["size"], "without source=synthetic-sounds")
    reading = Reading(**{name: options.pop(name) for name in _READING})
    encoder = build("encoder", options.pop("encoder"))
    console.print(embed(**options, encoder=encoder, reading=reading, console=console))


main = command("embed", _embed)


if __name__ == "__main__":
    main()
