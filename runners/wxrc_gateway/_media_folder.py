"""The media folder: files that an operator puts there and channels name, read without ever leaving the folder."""

import os
import stat
from pathlib import Path

import anyio.to_thread

from wxrc_core.content import MAX_IMAGE_BYTES, TOO_LARGE, is_source
from wxrc_core.errors import InvalidValue, WxrcError


class NoSuchFile(WxrcError):
    """The folder has no such file that may be sent. One sentence for every reason: a channel is not told what else is there."""

    def __init__(self) -> None:
        super().__init__("there is no such file in the media folder")


class MediaFolder:
    """Reads files of one folder by their names (`wxrc_core.content.is_source`)."""

    def __init__(self, path: Path | None) -> None:
        """Set which folder; None = there is none, and so no file in it."""
        self._path = path

    async def read(self, name: str) -> bytes:
        """Return a file.

        Raises:
            NoSuchFile: There is none of that name: neither links nor devices nor folders count as files.
            InvalidValue: It is too large.
        """
        if self._path is None:
            raise NoSuchFile
        return await anyio.to_thread.run_sync(_read, self._path, name)


def _read(folder: Path, name: str) -> bytes:
    *folders, last = name.split("/")
    if not is_source(name):
        raise NoSuchFile
    opened: list[int] = []
    try:
        opened.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
        for each in folders:
            # Folder by folder, since each could be a link that was put there meanwhile.
            opened.append(os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[-1]))
        if not stat.S_ISREG(os.stat(last, dir_fd=opened[-1], follow_symlinks=False).st_mode):
            raise NoSuchFile  # before it is opened: opening a device or a pipe can do something
        opened.append(os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=opened[-1]))
        found = os.fstat(opened[-1])
        if not stat.S_ISREG(found.st_mode):
            raise NoSuchFile
        if found.st_size > MAX_IMAGE_BYTES:
            raise InvalidValue(TOO_LARGE)
        with os.fdopen(opened.pop(), "rb") as file:
            return file.read(MAX_IMAGE_BYTES + 1)
    except (OSError, ValueError):
        raise NoSuchFile from None
    finally:
        for descriptor in reversed(opened):
            os.close(descriptor)
