"""A disk that loses what was not synced when its power is cut: an SQLite VFS on top of the system's own.

Files are real, so several connections and the shared memory of the write-ahead log work as usual. For each file it keeps an image of what
is durable, and every content that a sector was given since the last sync. When the power is cut, each of those sectors is left with one of
these contents or with its durable one: all, none, or a part of what was written survives, in any order. Shared memory is lost.
"""

import os
import random
from pathlib import Path

import apsw

SECTOR = 512


class Image:
    """One file as the disk has it."""

    def __init__(self, durable: bytes | None) -> None:
        self.durable = durable  # None = the file's name is not durable yet
        self.current = bytearray(durable or b"")
        self.written: dict[int, list[bytes]] = {}  # by sector, since the last sync
        self.shortest: int | None = None  # the least size since the last sync, where it was cut

    def write(self, data: bytes, offset: int) -> None:
        """Take in a write that may get lost."""
        end = offset + len(data)
        if len(self.current) < end:
            self.current.extend(bytes(end - len(self.current)))
        self.current[offset:end] = data
        for sector in range(offset // SECTOR, (end + SECTOR - 1) // SECTOR):
            content = bytes(self.current[sector * SECTOR : (sector + 1) * SECTOR])
            self.written.setdefault(sector, []).append(content)

    def truncate(self, size: int) -> None:
        """Take in a cut that may get lost."""
        del self.current[size:]
        self.shortest = size if self.shortest is None else min(size, self.shortest)

    def sync(self) -> None:
        """Make all of it durable."""
        self.durable = bytes(self.current)
        self.written.clear()
        self.shortest = None

    def survivor(self, chance: random.Random) -> bytes | None:
        """Return what is found after a power cut; None = no file."""
        if self.durable is None and chance.random() < 0.5:
            return None
        keep = chance.choice((0.0, 0.5, 0.9, 1.0))
        content = bytearray(self.durable or b"")
        if self.shortest is not None and chance.random() < keep:
            del content[self.shortest :]
        for sector, contents in sorted(self.written.items()):
            if chance.random() < keep:
                kept = contents[-1] if keep == 1 else chance.choice(contents)
                start = sector * SECTOR
                if len(content) < start + len(kept):
                    content.extend(bytes(start + len(kept) - len(content)))
                content[start : start + len(kept)] = kept
        return bytes(content)


class Disk(apsw.VFS):
    """The disk, under the name of a VFS. It works until so many writes and syncs were made, then its power is off."""

    def __init__(self, name: str, chance: random.Random) -> None:
        super().__init__(name, base="unix")
        self.off = False
        self.steps = 0
        self._chance = chance
        self._left: int | None = None
        self._images: dict[str, Image] = {}
        self._deleted: dict[str, Image] = {}

    def cut_after(self, steps: int) -> None:
        """Cut the power in the middle of the step after so many more."""
        self._left = steps

    def cut(self) -> None:
        """Cut the power now."""
        self.off = True

    def restore(self) -> None:
        """Leave on the real disk what survives, once nobody has a file open any more; the power is back."""
        for name, image in (self._deleted | self._images).items():
            deleted = name in self._deleted and name not in self._images
            content = image.survivor(self._chance)
            if content is None or (deleted and self._chance.random() < 0.5):
                Path(name).unlink(missing_ok=True)
            else:
                Path(name).write_bytes(content)
            Path(f"{name}-shm").unlink(missing_ok=True)
        self._images.clear()
        self._deleted.clear()
        self.off = False
        self._left = None

    # -- what SQLite calls ------------------------------------------------------------------------------------------------------

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "File":
        """Open a file."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if path is not None and path not in self._images:
            self._images[path] = Image(Path(path).read_bytes() if os.path.exists(path) else None)
        return File(self, name, flags, None if path is None else self._images[path])

    def xDelete(self, name: str, sync: bool) -> None:
        """Delete a file; unless the folder is synced it may come back."""
        if self.ends():
            raise apsw.IOError("the power is off")
        super().xDelete(name, sync)
        image = self._images.pop(name, None)
        if image is not None and image.durable is not None and not sync:
            self._deleted[name] = image

    def ends(self) -> bool:
        """Count a step, and return whether the power is off, or goes off with it."""
        if self.off:
            return True
        self.steps += 1
        if self._left is not None:
            self._left -= 1
            self.off = self._left < 0
        return self.off

    def synced(self, image: Image) -> None:
        """Make a file durable, and its name with it: SQLite syncs the folder where it made the file."""
        if image.durable is None:
            self._deleted.clear()
        image.sync()


class File(apsw.VFSFile):
    """An open file on the disk."""

    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int], image: Image | None) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        self._image = image

    def xRead(self, amount: int, offset: int) -> bytes:
        """Read."""
        if self._disk.off:
            raise apsw.IOError("the power is off")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        """Write; the last write before the power goes off may survive in part."""
        was_off = self._disk.off
        ends = self._disk.ends()
        if self._image is not None and not was_off:
            self._image.write(bytes(data), offset)
        if ends:
            raise apsw.IOError("the power is off")
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:
        """Cut the file."""
        was_off = self._disk.off
        ends = self._disk.ends()
        if self._image is not None and not was_off:
            self._image.truncate(size)
        if ends:
            raise apsw.IOError("the power is off")
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:
        """Make the file durable, in this disk's sense."""
        if self._disk.ends():
            raise apsw.IOError("the power is off")
        if self._image is not None:
            self._disk.synced(self._image)
