"""audiobag-listen: what a model hears in a recording, as a picture and as a page that plays it."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from audiobag.cli.command import Invocation, command, run_directory

if TYPE_CHECKING:
    from audiobag.cli.schema import ListenOptions


def _listen(called: Invocation[ListenOptions]) -> None:
    from audiobag.cli.assemble import build
    from audiobag.export import load
    from audiobag.sound import Reading
    from audiobag.sound.segments import Rule
    from audiobag.training.devices import set_threads
    from audiobag.utils.console import say
    from audiobag.utils.errors import InputError
    from audiobag.utils.files import atomic, check_writable
    from audiobag.utils.plotting import png
    from audiobag.utils.times import duration
    from audiobag.utils.values import check_whole, listed

    options = called.options
    sources = [Path(str(one)) for one in listed(options.source)]
    if len(sources) != 1:
        raise InputError(f"source must be one recording, got {len(sources)}: {', '.join(map(str, sources))}")
    check_whole("top_k", options.top_k)
    rule = Rule(options.threshold, options.median)
    out = Path(run_directory() if options.out is None else options.out)
    check_writable(out)
    set_threads(options.threads, devices=1)
    encoder = None if options.encoder is None else build("encoder", options.encoder)
    listened = load(options.checkpoint, allow=options.allow).listen(
        sources[0],
        encoder=encoder,
        clip_seconds=options.clip_seconds,
        reading=Reading(pad_short=True, device=options.device, precision=options.precision),
        allow=options.allow,
    )
    with atomic(out / "listen.png") as temporary:
        temporary.write_bytes(png(listened.picture(options.top_k)))
    page = out / "listen.html"
    listened.write_page(page, options.top_k, rule.threshold, rule.median)
    for name, F in listened.top(options.top_k):
        say(f"{F:.2f}  {name}")
    for start, end, name, _ in listened.segments(rule.threshold, rule.median)[:_MOST_LINES]:
        say(f"{duration(start)} to {duration(end)}  {name}")
    say(f"Page: {page}")
    if sys.stdout.isatty() if options.browser is None else options.browser:
        webbrowser.open(page.resolve().as_uri())


_MOST_LINES = 20
main = command("listen", _listen, "source")


if __name__ == "__main__":
    main()
