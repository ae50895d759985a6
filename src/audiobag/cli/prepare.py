"""audiobag-prepare: published records, packed features or your own embeddings to stores."""

from __future__ import annotations

from pathlib import Path

from audiobag.cli.command import Invocation, command
from audiobag.cli.schema import PrepareOptions
from audiobag.cli.unused import refuse_unused


def _prepare(called: Invocation[PrepareOptions]) -> None:
    from rich.console import Console

    from audiobag.prepare import add_strong_labels, default_out, prepare

    options, console = called.options, Console(stderr=True)
    if options.source != "synthetic":
        refuse_unused(["size"], "without source=synthetic")
    if options.strong is None:
        refuse_unused(["ontology"], "without strong")
    out = default_out(options.source, options.size) if options.out is None else Path(options.out)
    summary = prepare(
        options.source, out, size=options.size, force=options.force, on_error=options.on_error, console=console
    )
    console.print(summary)
    if options.strong is not None:
        ontology = None if options.ontology is None else Path(options.ontology)
        console.print(add_strong_labels(out, Path(options.strong), ontology))


main = command("prepare", _prepare)


if __name__ == "__main__":
    main()
