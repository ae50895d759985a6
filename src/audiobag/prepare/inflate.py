"""Reading gzip and zlib streams piece by piece: bounded memory, and every early end or wrong checksum raises."""

from __future__ import annotations

import zlib
from typing import Protocol, runtime_checkable

_BLOCK = 2**18
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_FREE = 2**26
MOST = 100
"""How many times its compressed size a stream may grow: AudioSet's archive grows by a fifth, a bomb a thousandfold."""


@runtime_checkable
class Readable(Protocol):
    """Whatever has `read(size)`, which returns 1 to `size` bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes."""
        ...


def looks_compressed(start: bytes) -> bool:
    """Say whether a stream that starts so is gzip (RFC 1952) or zlib (RFC 1950, deflate)."""
    gzip = start[:3] == b"\x1f\x8b\x08"
    return gzip or (len(start) >= 2 and start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0)


class Inflated:
    """The decompressed content of `stream`, a gzip (of one member or more) or zlib stream.

    Args:
        stream: the compressed bytes.
        start: those of them that were read already.
    """

    def __init__(self, stream: Readable, start: bytes = b"") -> None:
        self._stream = stream
        self._input = start
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._begun = False
        self._taken, self._given = len(start), 0

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes.

        Raises:
            EOFError: the compressed stream ends early.
            zlib.error: it is damaged, fails its checksum, or grows more than `MOST` times beyond 64 MiB.
        """
        while True:
            if self._inflater.eof:
                self._input, self._begun = self._inflater.unused_data, False
                self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
            if not self._input:
                self._input = self._stream.read(_BLOCK)
                self._taken += len(self._input)
            if not self._begun:
                if not self._input:
                    return b""
                # Archives from tape are padded with zeros.
                self._input = self._input.lstrip(b"\0")
                if not self._input:
                    continue
            # Output may be waiting inside even where no input is left.
            output = self._inflater.decompress(self._input, size)
            if not output and not self._input and not self._inflater.eof:
                raise EOFError("the compressed data end early")
            self._input, self._begun = self._inflater.unconsumed_tail, True
            if output:
                self._given += len(output)
                if self._given > _FREE + MOST * self._taken:
                    raise zlib.error(f"the data grow to more than {MOST} times their compressed size")
                return output
