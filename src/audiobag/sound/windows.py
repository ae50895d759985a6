"""From recordings to windows at an encoder's sample rate, and from windows to vectors, in batches across recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray

from audiobag.prepare.source import BadRecord
from audiobag.sound.encoder import Encoder
from audiobag.sound.reading import Sound, SoundFile
from audiobag.utils.errors import InputError

T = TypeVar("T")
PRECISIONS: Final = ("fp32", "bf16")
HALF: Final = 0.5
"""Share of a window that a recording must fill; silence fills the rest of its last windows."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of a recording.

    Attributes:
        seconds: its duration, as far as it could be read.
        silent: every sample was 0.
        finding: what is wrong with it; None for nothing.
    """

    seconds: float
    silent: bool
    finding: str | None


Window = Float32[NDArray[Any], "C S"]


def windows(
    recording: SoundFile,
    encoder: Encoder,
    *,
    mix: bool = True,
    pad: bool = False,
    least: float = HALF,
    advance: Callable[[int], None],
) -> Iterator[Window | End]:
    """Yield the windows [C, S] of a recording, and then its end.

    Window t begins `t * hop_seconds` after the start. Windows of which the recording fills at least the share `least`
    are taken, and silence fills the rest of them.

    The recording is read in blocks of 65,536 samples, resampled as a stream, and cut; samples before the next window
    are dropped, so memory does not depend on its length.

    Args:
        recording: what to read.
        encoder: says the sample rate, the length of a window and where each begins.
        mix: average the channels, so that C is 1; otherwise C is the number of channels.
        pad: fill a recording of less than half a window with silence, instead of rejecting it.
        least: share of a window.
        advance: called with the bytes read.
    """
    seconds, silent, count, told = 0.0, True, 0, 0
    length = encoder.window_samples

    def tell(size: int) -> None:
        nonlocal told
        told += size
        advance(size)

    try:
        with recording.open() as sound:
            held = np.zeros((0, 1 if mix else sound.channels), np.float32)
            start = 0  # sample of the recording that `held` begins with
            blocks = _counted(sound, recording.size, tell)
            for original, block in _resampled(sound, blocks, encoder.sample_rate, mix):
                seconds += original / sound.sample_rate
                silent = silent and not block.any()
                held = np.concatenate([held, block])
                while encoder.first_sample(count) + length <= start + len(held):
                    at = encoder.first_sample(count) - start
                    yield np.ascontiguousarray(held[at : at + length].T)
                    count += 1
                behind = min(encoder.first_sample(count) - start, len(held))
                held, start = held[behind:], start + behind
        rest = held[encoder.first_sample(count) - start :]
        while len(rest) and (len(rest) >= least * length or (pad and not count)):
            yield np.pad(rest, ((0, length - len(rest)), (0, 0))).T
            count += 1
            rest = held[encoder.first_sample(count) - start :]
        if not count:
            raise BadRecord(
                f"it lasts {seconds:.3f} s, less than half a window of {encoder.window_seconds:g} s; pad_short=true"
                " fills it with silence"
            )
    except BadRecord as error:
        yield End(seconds, silent, str(error))
    else:
        yield End(seconds, silent, None)
    finally:
        advance(max(0, recording.size - told))


def encoded(
    items: Iterable[tuple[T, Window | End]],
    encoder: Encoder,
    *,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    precision: str = "fp32",
) -> Iterator[tuple[T, NDArray[Any] | End]]:
    """Yield the vectors [C, D] of windows, and the ends of recordings, in their order.

    Windows of several recordings share a batch.

    Args:
        items: windows and ends, each with a tag.
        encoder: on the device.
        batch_size: the most windows of a batch, at least 1; a window of C channels counts C times.
        device: of the encoder.
        precision: "fp32", or "bf16" for the network in half the bits.
    """
    waiting: list[tuple[T, Window | End]] = []
    count = 0
    for item in items:
        waiting.append(item)
        count += 0 if isinstance(item[1], End) else len(item[1])
        if count >= batch_size:
            yield from _run(waiting, encoder, device, precision)
            waiting, count = [], 0
    yield from _run(waiting, encoder, device, precision)


def _run(
    items: list[tuple[T, Window | End]], encoder: Encoder, device: torch.device | str, precision: str
) -> Iterator[tuple[T, NDArray[Any] | End]]:
    batch = [window for _, window in items if not isinstance(window, End)]
    vectors = np.empty((0, encoder.dim), encoder.numpy_dtype)
    if batch:
        waveforms = torch.from_numpy(np.concatenate(batch)).to(device)
        reduced = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")
        with torch.inference_mode(), reduced:
            vectors = encoder(waveforms).to(encoder.dtype).cpu().numpy()
        if vectors.dtype.kind == "f" and not np.isfinite(vectors).all():
            raise InputError("encoder must return finite numbers, got NaN or infinity: check its weights")
    first = 0
    for tag, window in items:
        if isinstance(window, End):
            yield tag, window
        else:
            yield tag, vectors[first : first + len(window)]
            first += len(window)


def _counted(sound: Sound, size: int, advance: Callable[[int], None]) -> Iterator[Float32[NDArray[Any], "n C"]]:
    """Pass blocks on and report the bytes of the file that they stand for."""
    done = reported = 0
    total = None if sound.seconds is None else sound.seconds * sound.sample_rate
    for block in sound.blocks:
        yield block
        done += len(block)
        if total:
            now = min(size, int(size * done / total))
            advance(now - reported)
            reported = now


def _resampled(
    sound: Sound, blocks: Iterable[Float32[NDArray[Any], "n C"]], rate: int, mix: bool
) -> Iterator[tuple[int, Float32[NDArray[Any], "m C"]]]:
    """Yield (samples read, samples at another rate) of blocks; mixed down before, which is the same and less work."""
    mixed = ((len(block), block.mean(1, keepdims=True) if mix else block) for block in blocks)
    if sound.sample_rate == rate:
        yield from mixed
        return
    import soxr

    channels = 1 if mix else sound.channels
    stream = soxr.ResampleStream(sound.sample_rate, rate, channels, dtype="float32")
    for count, block in mixed:
        yield count, stream.resample_chunk(block).reshape(-1, channels)
    yield 0, stream.resample_chunk(np.zeros((0, channels), np.float32), last=True).reshape(-1, channels)
