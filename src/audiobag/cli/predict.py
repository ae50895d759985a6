"""audiobag-predict: predict the clips of a source, or draw some of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiobag.cli.command import Invocation, command, run_directory
from audiobag.cli.unused import refuse_unused
from audiobag.utils.console import say

if TYPE_CHECKING:
    from audiobag.cli.schema import PredictOptions

_OF_FILES = ("format", "frames", "segments", "force", "threshold", "median", "audio_url")
_OF_PICTURES = ("clips", "class_name", "most_wrong", "at_most")
_OF_RECORDINGS = ("encoder", "clip_seconds", "channels", "pad_short", "precision")


def _predict(called: Invocation[PredictOptions]) -> None:
    from rich.console import Console

    from audiobag.prediction import predict_to_file, predict_to_pictures

    _refuse_unused(called.options)
    options = asdict(called.options)
    _sound(options)
    picture = options.pop("picture")
    for name in _OF_FILES if picture else _OF_PICTURES:
        del options[name]
    if options["out"] is None:
        kind = options.get("format")
        name = "pictures" if picture else "labels" if kind == "audacity" else f"predictions.{kind or 'h5'}"
        options["out"] = Path(run_directory()) / name
    done = predict_to_pictures(**options) if picture else predict_to_file(**options)
    # The standard output may hold the predictions.
    console = Console(stderr=options["out"] == "-")
    for notice in done.notices:
        say(f"Warning: {notice}", console, "yellow")
    what = "Predictions" if done.pictures is None else f"{done.pictures} picture{'s' * (done.pictures != 1)}"
    say(f"{what}: {done.out} ({done.clips:,} clip{'' if done.clips == 1 else 's'})", console)


def _sound(options: dict[str, Any]) -> None:
    """Replace the options of recordings by the objects that they describe, None where they are those by default."""
    from audiobag.sound import Reading

    if (config := options.pop("encoder")) is not None:
        from audiobag.cli.assemble import build

        config = build("encoder", config)
    reading = Reading(**{name: options.pop(name) for name in ("channels", "pad_short", "precision")})
    options["encoder"] = config
    options["reading"] = None if reading == Reading() else reading


def _refuse_unused(options: PredictOptions) -> None:
    """Refuse options of another kind of output or of another kind of source."""
    from audiobag.prediction import format_of
    from audiobag.sound.files import is_sound

    if options.picture:
        refuse_unused(_OF_FILES, "with picture=true")
        if options.clips is not None:
            refuse_unused(["at_most"], "with clips, all of which are drawn")
    else:
        written = format_of(options.out, options.format)
        refuse_unused(_OF_PICTURES, "without picture=true")
        if written != "audacity" and not options.segments:
            refuse_unused(["threshold", "median"], "without segments=true")
        if written != "jsonl":
            refuse_unused(["audio_url"], f"in format {written}: JSON lines have the address of a clip")
        if written == "h5":
            refuse_unused(["top_k"], "in format h5, which has all classes")
            refuse_unused(["times"], "in format h5, which counts from the start of the video")
    if Path(options.source).exists() and not is_sound(options.source):
        refuse_unused(_OF_RECORDINGS, f"on {options.source}, which is no recording")


main = command("predict", _predict)


if __name__ == "__main__":
    main()
