"""Decompression of gzip and zlib streams in bounded memory; truncation and wrong checksums raise."""

from __future__ import annotations

import zlib
from typing import Protocol, runtime_checkable

_BLOCK = 2**18
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_FREE = 2**26
MOST = 100
"""Maximum ratio of the size of a stream to its compressed size. AudioSet's archive has 1.2, a zip bomb about 1,000."""


@runtime_checkable
class Readable(Protocol):
    """A stream whose `read(size)` returns 1 to `size` bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes:
        """Read up to `size` bytes."""
        ...


def looks_compressed(start: bytes) -> bool:
    """Return whether a stream with this start is gzip (RFC 1952) or zlib (RFC 1950, deflate)."""
    gzip = start[:3] == b"\x1f\x8b\x08"
    return gzip or (len(start) >= 2 and start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0)


class Inflated:
    """The decompressed content of a zlib stream, or of a gzip stream of one or more members.

    Args:
        stream: the compressed bytes.
        start: the part of them that has been read already.
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
            EOFError: the compressed stream is truncated.
            zlib.error: the stream is damaged, has a wrong checksum, or grows to more than 64 MiB and `MOST` times
                its size.
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
                # Archives on tape are padded with zeros.
                self._input = self._input.lstrip(b"\0")
                if not self._input:
                    continue
            # The decompressor may hold output even if no input is left.
            output = self._inflater.decompress(self._input, size)
            if not output and not self._input and not self._inflater.eof:
                raise EOFError("the compressed data are truncated")
            self._input, self._begun = self._inflater.unconsumed_tail, True
            if output:
                self._given += len(output)
                if self._given > _FREE + MOST * self._taken:
                    raise zlib.error(f"the data grow to more than {MOST} times their compressed size")
                return output
