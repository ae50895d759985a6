"""audiobag-predict: predict the clips of a source, or draw some of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiobag.cli.command import Invocation, command, run_directory
from audiobag.utils.errors import InputError

if TYPE_CHECKING:
    from audiobag.cli.schema import PredictOptions

_OF_FILES = ("format", "frames", "segments", "force", "threshold", "median", "audio_url")
_OF_PICTURES = ("clips", "class_name", "most_wrong", "at_most")


def _predict(called: Invocation[PredictOptions]) -> None:
    from rich.console import Console

    from audiobag.prediction import predict_to_file, predict_to_pictures

    options = asdict(called.options)
    _sound(options)
    picture = options.pop("picture")
    _check_picture(picture, options)
    for name in _OF_FILES if picture else _OF_PICTURES:
        del options[name]
    if options["out"] is None:
        kind = options.get("format")
        name = "pictures" if picture else "labels" if kind == "audacity" else f"predictions.{kind or 'h5'}"
        options["out"] = Path(run_directory()) / name
    done = predict_to_pictures(**options) if picture else predict_to_file(**options)
    # The standard output may hold the predictions.
    console = Console(highlight=False, stderr=options["out"] == "-")
    for notice in done.notices:
        console.print(f"Warning: {notice}", style="yellow", markup=False)
    what = "Predictions" if done.pictures is None else f"{done.pictures} picture{'s' * (done.pictures != 1)}"
    console.print(
        f"{what}: {done.out} ({done.clips:,} clip{'' if done.clips == 1 else 's'})", soft_wrap=True, markup=False
    )


def _sound(options: dict[str, Any]) -> None:
    """Replace the options of recordings by the objects that they describe, None where they are those by default."""
    from audiobag.sound import Reading

    if (config := options.pop("encoder")) is not None:
        from audiobag.cli.assemble import build

        config = build("encoder", config)
    reading = Reading(**{name: options.pop(name) for name in ("channels", "pad_short", "precision")})
    options["encoder"] = config
    options["reading"] = None if reading == Reading() else reading


def _check_picture(picture: bool, options: dict[str, object]) -> None:
    """Refuse options of the other kind of output."""
    for name in _OF_FILES[:3] if picture else _OF_PICTURES[:3]:
        if options[name]:
            if picture:
                raise InputError(f"picture=true cannot be combined with {name}: omit {name}, or run the command twice")
            raise InputError(f"{name} needs picture=true, since it chooses the clips to draw: add it, or omit {name}")


main = command("predict", _predict)


if __name__ == "__main__":
    main()
