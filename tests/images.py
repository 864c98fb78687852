"""Images for tests."""

import struct
import zlib


def png(width: int = 40, height: int = 30, rest: bytes = b"") -> bytes:
    """Return a real PNG of this size in one colour, with something of one's own behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\x4c\xb8\xa4" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"") + rest
    )
