"""`prune` and the images beside the log."""

import os
from pathlib import Path

import anyio
import pytest

from tests.images import png
from tests.test_gateway import running
from wxrc_gateway import maintenance
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

DAY_MS = 86_400_000


async def test_images_go_with_their_messages(tmp_path: Path) -> None:
    """What no open message needs is deleted when it is old enough; the image of a message that still waits stays."""
    async with running(tmp_path) as (gateway, _):
        waiting = await gateway.send_image("demo", png(10, 10), room="客服一群")
        over = await gateway.send_image("demo", png(20, 20), room="客服一群")
        await gateway.cancel(over.msgid)
        now = gateway.clock()
    images = [each.message.image for each in (waiting, over)]
    digests = [image.digest for image in images if image is not None]
    folder = tmp_path / "wxrc.db-media"
    for digest in digests:
        os.utime(folder / digest, (0, 0))
    async with SqliteStore(tmp_path / "wxrc.db") as store:
        await maintenance.prune(store, now - 3 * DAY_MS, tmp_path / "old.gz", now)

    assert [digests[0]] == [path.name async for path in anyio.Path(folder).iterdir()]
