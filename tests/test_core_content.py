"""What bytes are an image, and what can be an image's source."""

import struct
import zlib

import pytest

from wxrc_core import content
from wxrc_core.errors import InvalidValue


def png(width: int, height: int) -> bytes:
    """Return the beginning of a PNG of this size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"rest"


JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00\xff\xff\xc0\x00\x11\x08\x00\x1e\x00\x28\x03"
    + b"\0" * 16
)
IMAGES = {
    "png": (png(40, 30), "image/png"),
    "gif": (b"GIF89a" + struct.pack("<HH", 40, 30) + b"\0" * 8, "image/gif"),
    "bmp": (b"BM" + b"\0" * 12 + struct.pack("<Iii", 40, 40, -30) + b"\0" * 30, "image/bmp"),
    "old bmp": (b"BM" + b"\0" * 12 + struct.pack("<IHH", 12, 40, 30) + b"\0" * 30, "image/bmp"),
    "jpeg": (JPEG, "image/jpeg"),
    "webp": (b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 40, 30), "image/webp"),
    "lossless webp": (b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 39 | 29 << 14), "image/webp"),
    "animated webp": (b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0" + b"\x27\0\0\x1d\0\0", "image/webp"),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_images_by_content(kind: str) -> None:
    """Each kind of image is known by its content, with its size."""
    data, media_type = IMAGES[kind]

    assert content.Shape(media_type, 40, 30) == content.check_image(data)


@pytest.mark.parametrize("kind", IMAGES)
def test_images_cut_short(kind: str) -> None:
    """A file that ends before its size is known is no image, wherever it ends; none of these makes the check fail otherwise."""
    data, _ = IMAGES[kind]
    for length in range(len(data)):
        try:
            content.check_image(data[:length])
        except InvalidValue:
            continue


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<!doctype html><title>Log in</title>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"MZ" + b"\0" * 200,
        b"\xff\xd8\xff\xda" + b"\0" * 40,
        b"\xff\xd8\xff\xe0\x00\x01" + b"\xff" * 40,
        b"RIFF\0\0\0\0WAVEfmt ",
        png(0, 30),
        png(2**31, 2**31),
        png(60_000, 60_000),
        b"\x89PNG\r\n\x1a\n" + b"\0" * content.MAX_IMAGE_BYTES,
    ],
    ids=[
        "empty",
        "html",
        "svg",
        "pdf",
        "exe",
        "jpeg without a frame",
        "jpeg length",
        "wave",
        "no width",
        "huge",
        "bomb",
        "large",
    ],
)
@pytest.mark.wire("attack.bombs")
def test_what_is_no_image(data: bytes) -> None:
    """What is no image, unpacks to too many pixels or is too large is refused, in a sentence."""
    with pytest.raises(InvalidValue, match="image"):
        content.check_image(data)


@pytest.mark.parametrize(
    "source", ["https://img.example/a.png?x=1", "HTTP://img.example/", "a.png", "2026/十一月/a b.png"]
)
def test_sources(source: str) -> None:
    """An http(s) URL, or a name in the media folder."""
    assert content.is_source(source)


@pytest.mark.parametrize(
    "source",
    ["", "/etc/passwd", "../a.png", "a/../../b", "./a", "a//b", "a/", "a\\b", "C:a", "a\0b", "file:///etc/passwd", "ftp://x/a",
     "gopher://x", "https://", "https://a b", "data:text/plain,hi"],
)  # fmt: skip
def test_what_is_no_source(source: str) -> None:
    """A name that could lead out of the media folder, and any other scheme, is refused."""
    assert not content.is_source(source)


def test_a_file_name_says_nothing_of_the_source() -> None:
    """The name that people see is made of digest and type."""
    image = content.Image(source="https://x/secret-token.png", digest="ab" * 32, media_type="image/jpeg", size=1)

    assert "abababababababab.jpg" == content.file_name(image)
