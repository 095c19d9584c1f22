"""WebSocket frames byte by byte (RFC 6455, section 5.2), for what no library sends."""

from __future__ import annotations

import os
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0x0, 0x1, 0x2, 0x8, 0x9


def frame(payload: str | bytes = b"", opcode: int = TEXT, *, fin: bool = True, masked: bool = True, reserved: int = 0,
          length: int | None = None) -> bytes:
    """One frame; `length` says another length than the payload has."""
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data) if length is None else length
    mask = 0x80 if masked else 0
    if size < 126:
        header = struct.pack(">BB", (fin << 7) | (reserved << 4) | opcode, mask | size)
    elif size < 1 << 16:
        header = struct.pack(">BBH", (fin << 7) | (reserved << 4) | opcode, mask | 126, size)
    else:
        header = struct.pack(">BBQ", (fin << 7) | (reserved << 4) | opcode, mask | 127, size)
    if not masked:
        return header + data
    key = os.urandom(4)
    pad = (key * (len(data) // 4 + 1))[:len(data)]
    return header + key + (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(data), "big")


def fragments(payload: str, size: int) -> list[bytes]:
    """A text message in fragments of `size` bytes (RFC 6455, section 5.4)."""
    data = payload.encode()
    pieces = [data[at:at + size] for at in range(0, len(data), size)]
    return [frame(piece, TEXT if n == 0 else CONTINUATION, fin=n == len(pieces) - 1) for n, piece in enumerate(pieces)]
