"""The media beside a log: by content, whole or not at all, in memory, a directory or a database; and the folder that operators fill."""

import hashlib
import os
import stat
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from tests.nats import NatsCluster
from tests.postgres import PostgresServer
from wxrc_core.content import MAX_IMAGE_BYTES
from wxrc_core.errors import InvalidValue
from wxrc_gateway._media_folder import MediaFolder, NoSuchFile
from wxrc_store import DirectoryMedia, Media, MemoryMedia, StoreError
from wxrc_store.jetstream import JetStreamStore
from wxrc_store.postgres import PostgresStore
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

_schemas = count()


@pytest.fixture(params=["memory", "directory", "postgres", "jetstream"])
async def media(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Media]:
    """Each kind of media."""
    match request.param:
        case "memory":
            yield MemoryMedia()
        case "directory":
            yield DirectoryMedia(tmp_path / "media")
        case "jetstream":
            cluster: NatsCluster = request.getfixturevalue("nats_cluster")
            async with JetStreamStore(cluster.url(), vault_key=b"k" * 32) as store:
                yield store.media
        case _:
            postgres: PostgresServer = request.getfixturevalue("postgres")
            async with PostgresStore(postgres.url(), vault_key=b"k" * 32, schema=f"media{next(_schemas)}") as store:
                yield store.media


async def test_a_file_comes_back(media: Media) -> None:
    """By the SHA-256 of its bytes; keeping it again is harmless; another digest finds nothing."""
    data = b"an image"
    digest = await media.put(data)

    assert hashlib.sha256(data).hexdigest() == digest == await media.put(data)
    assert data == await media.get(digest)
    assert None is await media.get("0" * 64)


@pytest.mark.parametrize("digest", ["", "..", "../wxrc.db", "/etc/passwd", "A" * 64, "0" * 63])
async def test_what_is_no_digest(digest: str, media: Media) -> None:
    """Nothing but a digest leads to a file."""
    await media.put(b"x")

    assert None is await media.get(digest)


async def test_old_files_are_forgotten(media: Media) -> None:
    """What was last put before a time goes, but not what is still needed; what was put later stays."""
    kept, old = await media.put(b"kept"), await media.put(b"old")

    assert 0 == await media.forget(0, [])
    assert 1 == await media.forget(2**53, [kept])
    assert (b"kept", None) == (await media.get(kept), await media.get(old))


async def test_a_damaged_file_is_not_given_out(tmp_path: Path) -> None:
    """Bytes that do not fit their name count as not there, and are replaced when they come again."""
    media = DirectoryMedia(tmp_path / "media")
    digest = await media.put(b"an image")
    (tmp_path / "media" / digest).write_bytes(b"an imag")

    assert None is await media.get(digest)
    assert digest == await media.put(b"an image")
    assert b"an image" == await media.get(digest)


async def test_the_directory_is_for_its_owner(tmp_path: Path) -> None:
    """It holds what people send."""
    media = DirectoryMedia(tmp_path / "media")
    digest = await media.put(b"an image")

    assert 0o700 == stat.S_IMODE((tmp_path / "media").stat().st_mode)
    assert 0o600 == stat.S_IMODE((tmp_path / "media" / digest).stat().st_mode)
    assert [digest] == os.listdir(tmp_path / "media")


async def test_a_directory_that_cannot_be_used(tmp_path: Path) -> None:
    """Where it cannot be written to, that is the store's failure, in a sentence; what was cut short goes in time."""
    (tmp_path / "media").write_text("a file")
    with pytest.raises(StoreError, match="could not be kept"):
        await DirectoryMedia(tmp_path / "media").put(b"x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / f".{'0' * 64}.1.2").write_bytes(b"cut short")

    assert 1 == await DirectoryMedia(tmp_path / "other").forget(2**53, [])


async def test_sqlite_has_its_media_beside_the_file(tmp_path: Path) -> None:
    """Two handles on one file share them."""
    one, two = SqliteStore(tmp_path / "wxrc.db"), SqliteStore(tmp_path / "wxrc.db")
    digest = await one.media.put(b"x")

    assert b"x" == await two.media.get(digest)
    assert (tmp_path / "wxrc.db-media").is_dir()


# -- the folder -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an image in it, one in a folder of it, and all that must not be read."""
    folder = tmp_path / "pictures"
    (folder / "2026").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.png").write_bytes(b"secret")
    (folder / "a.png").write_bytes(b"image")
    (folder / "2026" / "订单 1.png").write_bytes(b"nested")
    (folder / "link.png").symlink_to(tmp_path / "secret")
    (folder / "here.png").symlink_to("a.png")
    (folder / "linked").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "pipe.png")
    return folder


@pytest.mark.parametrize(("name", "data"), [("a.png", b"image"), ("2026/订单 1.png", b"nested")])
async def test_a_file_of_the_folder(name: str, data: bytes, folder: Path) -> None:
    """By its name, in the folder or in one below it."""
    assert data == await MediaFolder(folder).read(name)


@pytest.mark.parametrize(
    "name",
    ["b.png", "2026", "2026/b.png", "link.png", "here.png", "linked/a.png", "linked", "pipe.png", "a.png/x", "x" * 300, "\ud800",
     "../secret", "2026/../../secret"],
)  # fmt: skip
@pytest.mark.wire("attack.files")
async def test_what_is_no_file_of_the_folder(name: str, folder: Path) -> None:
    """Neither links nor pipes nor folders, nor what is not there: one answer for all, at once."""
    with pytest.raises(NoSuchFile):
        await MediaFolder(folder).read(name)


@pytest.mark.wire("attack.files")
async def test_a_device_is_not_read(folder: Path) -> None:
    """A device in the folder is no file. It takes a privileged user to make one."""
    try:
        os.mknod(folder / "zero.png", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        return
    with pytest.raises(NoSuchFile):
        await MediaFolder(folder).read("zero.png")


async def test_a_file_that_is_too_large(folder: Path) -> None:
    """It is refused by its size, without being read."""
    with (folder / "large.png").open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    with pytest.raises(InvalidValue, match="larger than"):
        await MediaFolder(folder).read("large.png")


async def test_without_a_folder() -> None:
    """There is no file where there is no folder."""
    with pytest.raises(NoSuchFile):
        await MediaFolder(None).read("a.png")
