"""What a message carries besides text: a mini-program card, or an image; and what bytes are an image.

An image is named by where it comes from and, once it is in the media store, by what it is: the SHA-256 of its bytes. The log has
both, never the bytes.
"""

import re
from typing import Literal, NamedTuple, TypeAlias

from attrs import frozen

from wxrc_core.errors import InvalidValue
from wxrc_core.localized import LocalizedText

ContentKind: TypeAlias = Literal["text", "app", "image"]
"""The kinds of content, as `Capabilities.content` has them; `app` is a mini-program card."""

MAX_IMAGE_BYTES = 20 * 1024 * 1024
"""The largest image (bytes; wire.md, roomSendImg)."""

MAX_IMAGE_PIXELS = 64_000_000
"""The most pixels of an image: a small file that unpacks to more than this is a decompression bomb, not a picture."""


@frozen(kw_only=True)
class Card:
    """A mini-program card.

    Attributes:
        title: What stands on it.
        page_path: The page that it opens.
        appid: The mini-program by its appid; or
        username: by its original id (`gh_…@app`). At least one of the two.
        description: A second line.
        thumb_url: Where its picture is; or
        thumb_key: WeChat's key for the picture. The key belongs to a `thumb_url` of WeChat's own.
    """

    title: str
    page_path: str
    appid: str = ""
    username: str = ""
    description: str = ""
    thumb_url: str = ""
    thumb_key: str = ""


@frozen(kw_only=True)
class Image:
    """An image to send.

    Attributes:
        source: An http(s) URL, or a name in the media folder; empty = the request itself had the bytes.
        digest: SHA-256 of its bytes (hex), under which the media store has them; empty = still to be fetched.
        media_type: What it is: one of `MEDIA_TYPES`.
        size: Its bytes.
    """

    source: str
    digest: str = ""
    media_type: str = ""
    size: int = 0


class Shape(NamedTuple):
    """What the first bytes of an image say: its type, and how many pixels it has."""

    media_type: str
    width: int
    height: int


MEDIA_TYPES = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/bmp": "bmp",
}
"""The types of image that can be sent, and what their files' names end in."""


_EMPTY = LocalizedText("图片是空的", "the image is empty")
TOO_LARGE = LocalizedText("图片超过 {most} 字节", "the image is larger than {most} bytes").filled(
    most=f"{MAX_IMAGE_BYTES:,}"
)
"""The sentence about an image that is too large."""
_NO_IMAGE = LocalizedText(
    "文件不是 PNG、JPEG、GIF、WebP 或 BMP 图片", "the file is not a PNG, JPEG, GIF, WebP or BMP image"
)
_TOO_MANY_PIXELS = LocalizedText("图片超过 {most} 像素", "the image has more than {most} pixels").filled(
    most=f"{MAX_IMAGE_PIXELS:,}"
)


def check_image(data: bytes) -> Shape:
    """Return what an image is, by its content; names and headers are not asked.

    Raises:
        InvalidValue: It is no image that can be sent; the sentence says why.
    """
    if not data:
        raise InvalidValue(_EMPTY)
    if len(data) > MAX_IMAGE_BYTES:
        raise InvalidValue(TOO_LARGE)
    try:
        shape = _shape(data)
    except IndexError:
        shape = None
    if shape is None or not shape.width or not shape.height:
        raise InvalidValue(_NO_IMAGE)
    if shape.width * shape.height > MAX_IMAGE_PIXELS:
        raise InvalidValue(_TOO_MANY_PIXELS)
    return shape


def file_name(image: Image) -> str:
    """Return a name for the image's file, from its digest and type: a source's own name may say anything."""
    return f"{image.digest[:16]}.{MEDIA_TYPES.get(image.media_type, 'bin')}"


# -- by content -----------------------------------------------------------------------------------------------------------------


def _number(data: bytes, at: int, size: int, order: Literal["big", "little"], *, signed: bool = False) -> int:
    """Return a number from the file.

    Raises:
        IndexError: The file ends before it.
    """
    piece = data[at : at + size]
    if len(piece) < size:
        raise IndexError
    return int.from_bytes(piece, order, signed=signed)


def _shape(data: bytes) -> Shape | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        return Shape("image/png", _number(data, 16, 4, "big"), _number(data, 20, 4, "big"))
    if data.startswith((b"GIF87a", b"GIF89a")):
        return Shape("image/gif", _number(data, 6, 2, "little"), _number(data, 8, 2, "little"))
    if data.startswith(b"BM"):
        return _bmp(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    return None


def _bmp(data: bytes) -> Shape | None:
    header = _number(data, 14, 4, "little")
    if header == 12:
        return Shape("image/bmp", _number(data, 18, 2, "little"), _number(data, 20, 2, "little"))
    if header < 40:
        return None
    # A negative height: the rows come from top to bottom.
    height = _number(data, 22, 4, "little", signed=True)
    return Shape("image/bmp", _number(data, 18, 4, "little"), abs(height))


def _webp(data: bytes) -> Shape | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return Shape("image/webp", _number(data, 24, 3, "little") + 1, _number(data, 27, 3, "little") + 1)
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = _number(data, 21, 4, "little")
        return Shape("image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return Shape("image/webp", _number(data, 26, 2, "little") & 0x3FFF, _number(data, 28, 2, "little") & 0x3FFF)
    return None


_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers of a JPEG that begin a frame, and with it tell its size."""


_MARKERS = 2_000
"""So many markers and filling bytes may stand before the frame: a file of nothing else would keep the event loop busy."""


def _jpeg(data: bytes) -> Shape | None:
    at = 2
    for _ in range(_MARKERS):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
            continue
        if marker in _FRAMES:
            return Shape("image/jpeg", _number(data, at + 7, 2, "big"), _number(data, at + 5, 2, "big"))
        length = _number(data, at + 2, 2, "big")
        if marker in (0xD9, 0xDA) or length < 2:  # the end, or the picture itself: its size had to come before
            return None
        at += 2 + length
    return None


# -- where an image comes from --------------------------------------------------------------------------------------------------

_URL = re.compile(r"https?://[^\s\\]+", re.IGNORECASE)
_NAME = re.compile(r"[^/\\\0:]+(/[^/\\\0:]+)*")


def is_url(source: str) -> bool:
    """Return whether an image's source is an http(s) URL; otherwise it is a name in the media folder."""
    return _URL.fullmatch(source) is not None


def is_source(source: str) -> bool:
    """Return whether this can be an image's source: an http(s) URL, or a name inside the media folder that leads nowhere else."""
    if is_url(source):
        return True
    return _NAME.fullmatch(source) is not None and not {".", ".."} & set(source.split("/"))
