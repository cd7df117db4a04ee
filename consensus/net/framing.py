"""The common case of websocket framing (RFC 6455, 5.2): whole binary frames, cut out of a stream and made.

The protocol of ``websockets`` does handshakes, control frames, fragments and everything that is wrong. But a
whole binary frame is nearly all that ever comes, and its generator-based parser takes 4 us for one, most of
the price of a message. So frames are cut here, and only the others are handed to it, each in one piece.
"""

from __future__ import annotations

import os
from typing import Final

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled part
    from websockets.utils import apply_mask

BINARY: Final = 0x82
"""First byte of a whole binary frame: FIN, no extension bits, opcode 2."""
_MASKED: Final = 0x80
_KEYS_POOL: Final = 1_024


Cut = tuple[int, int, int]
"""First byte of a frame, start and end of its payload. Its mask key, if it has one, lies before the start."""
NOT_YET: Final[Cut] = (-2, 0, 0)
"""The frame is not whole yet."""
WRONG: Final[Cut] = (-1, 0, 0)
"""No frame that this end may be sent; the protocol knows what to say."""


def cut(data: bytes, offset: int, masked: bool, length_max: int) -> Cut:
    """Find the frame that begins at ``offset``; its length must not be above ``length_max``."""
    size = len(data) - offset
    if size < 2:
        return NOT_YET
    second = data[offset + 1]
    length = second & 0x7F
    start = offset + 2
    if length == 126:
        if size < 4:
            return NOT_YET
        length = data[start] << 8 | data[start + 1]
        start += 2
    elif length == 127:
        if size < 10:
            return NOT_YET
        length = int.from_bytes(data[start : start + 8], "big")
        start += 8
    if (second >= _MASKED) is not masked or length > length_max:
        return WRONG
    if masked:
        start += 4
    end = start + length
    return (data[offset], start, end) if end <= len(data) else NOT_YET


def unmask(data: bytes, start: int, end: int) -> bytes:
    """The payload of a masked frame."""
    return apply_mask(data[start:end], data[start - 4 : start])


def binary_header(length: int) -> bytes:
    """Of an unmasked binary frame."""
    if length < 126:
        return bytes((BINARY, length))
    if length < 1 << 16:
        return bytes((BINARY, 126, length >> 8, length & 0xFF))
    return bytes((BINARY, 127)) + length.to_bytes(8, "big")


class Masker:
    """Masks frames, as a client must; draws random keys many at a time."""

    def __init__(self) -> None:
        self._keys = b""

    def binary(self, payload: bytes) -> bytes:
        """A masked binary frame."""
        if not self._keys:
            self._keys = os.urandom(4 * _KEYS_POOL)
        key, self._keys = self._keys[-4:], self._keys[:-4]
        header = bytearray(binary_header(len(payload)))
        header[1] |= _MASKED
        return bytes(header) + key + apply_mask(payload, key)
