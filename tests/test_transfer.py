"""A log that is exported and imported is the same log in another store: events, positions, secrets; or it is refused in a sentence."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from wxrc_core.errors import Refusal
from wxrc_core.log import Appended, Entry, Recorded
from wxrc_core.testing.store_contract import attempted, queued
from wxrc_gateway import _transfer
from wxrc_gateway.export import export_log
from wxrc_gateway.restore import Imported, check_finished, import_log
from wxrc_store.memory import MemoryStore
from wxrc_store.port import Store
from wxrc_store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

PASSPHRASE = b"correct horse battery"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a few events be several pages."""
    for module in ("export", "restore", "_transfer"):
        monkeypatch.setattr(f"wxrc_gateway.{module}.PAGE", 7)


async def filled(store: Any, streams: int = 12) -> None:
    """Write a log of 3 events for each stream, and two secrets."""
    for version in range(3):
        for number in range(streams):
            event = attempted(version) if version else queued(f"第 {number} 条\u2028")
            await store.append([Entry(f"s/{number}", version, [event])])
    await store.vault.put("channel/crm/key/1", b"\x00KEY")
    await store.vault.put("会话", b"session" * 100)


async def exported(store: Any, **how: Any) -> bytes:
    """Return the file that an export gives out."""
    return b"".join([chunk async for chunk in export_log(store, store.vault, time="now", release="1", **how)])


async def imported(store: Any, file: bytes, **how: Any) -> Imported:
    """Import a file, read in pieces."""
    pieces = iter([file[start : start + 1000] for start in range(0, len(file), 1000)])

    async def read() -> bytes:
        return next(pieces, b"")

    return await import_log(store, store.vault, read, **how)


async def whole(store: Store) -> Sequence[Recorded]:
    """Return a log."""
    return await store.read_all(0, 10_000)


@pytest.mark.parametrize("target", ["memory", "sqlite"])
async def test_the_same_log_elsewhere(target: str, tmp_path: Path) -> None:
    """Events, positions, what is pruned and secrets are the same in the other store, and the log goes on from there."""
    async with MemoryStore() as source:
        await filled(source)
        await source.forget({"s/3": 3, "s/7": 3})
        await source.set_told_to(33)
        file = await exported(source, passphrase=PASSPHRASE)
        log = await whole(source)
    store: Any = MemoryStore() if target == "memory" else SqliteStore(tmp_path / "other.db")
    async with store:
        done = await imported(store, file, passphrase=PASSPHRASE)
        await check_finished(store.vault)
        names = await store.vault.names()
        found = [await store.vault.get(name) for name in names]
        again = await whole(store), await store.told_to()
        [outcome] = await store.append([Entry("next", 0, [queued()])])

    assert Imported(events=30, held=0, secrets=2, position=36) == done
    assert (log, 33) == again
    assert [b"\x00KEY", b"session" * 100] == found
    assert Appended(37) == outcome


async def test_the_file_says_what_it_is() -> None:
    """Header, events and footer are JSON lines; secrets can be read in none of them, and without a passphrase there are none."""
    async with MemoryStore() as source:
        await filled(source, 2)
        sealed = await exported(source, passphrase=PASSPHRASE)
        plain = await exported(source)

    header, *events, one, other, footer = map(json.loads, sealed.splitlines())
    assert ("export", 1, 0, 6, 6) == tuple(header[name] for name in ("wxrc", "format", "after", "position", "events"))
    assert {"position": 1, "stream": "s/0", "version": 1, "type": "message.queued", "schema": 1} == {
        name: value for name, value in events[0].items() if name != "data"
    }
    assert "第 0 条\u2028" == events[0]["data"]["text"]
    assert ["channel/crm/key/1", "会话"] == [one["secret"], other["secret"]]
    assert (True, 6, 2) == (footer["end"], footer["events"], footer["secrets"])
    assert b"KEY" not in sealed.replace(b"/key/", b"")
    assert b'"secret":' not in plain


async def test_interrupted_anywhere(tmp_path: Path) -> None:
    """An import whose file ends too soon says so and leaves the log unusable; run again with the whole file, it goes on."""
    async with MemoryStore() as source:
        await filled(source)
        file = await exported(source, passphrase=PASSPHRASE)
        log = await whole(source)
    first = file.index(b"\n") + 1
    for cut in range(first, len(file), 997):
        async with SqliteStore(tmp_path / f"{cut}.db", vault_key=b"k" * 32) as store:
            with pytest.raises(Refusal, match="not complete"):
                await imported(store, file[:cut], passphrase=PASSPHRASE)
            part = await whole(store)
            if part:
                with pytest.raises(Refusal, match="unfinished"):
                    await check_finished(store.vault)
            done = await imported(store, file, passphrase=PASSPHRASE)
            await check_finished(store.vault)

            assert log[: len(part)] == part
            assert (len(log) - len(part), len(part)) == (done.events, done.held)
            assert log == await whole(store)


async def test_again_changes_nothing() -> None:
    """A file that was imported already is compared, and that is all."""
    async with MemoryStore() as source, MemoryStore() as target:
        await filled(source)
        file = await exported(source)
        await imported(target, file)
        done = await imported(target, file)

    assert Imported(events=0, held=36, secrets=None, position=36) == done


async def test_what_came_since() -> None:
    """An export of what came after a position goes into the store that has the log up to there, and into no other."""
    async with MemoryStore() as source, MemoryStore() as target, MemoryStore() as empty, MemoryStore() as other:
        await filled(source)
        await imported(target, await exported(source))
        await filled(other, 36)
        await source.append([Entry("s/0", 3, [attempted(9)]), Entry("new", 0, [queued()])])
        rest = await exported(source, after=36)
        done = await imported(target, rest)
        for wrong in (empty, other):
            with pytest.raises(Refusal, match="goes on from position 36"):
                await imported(wrong, rest)
            with pytest.raises(Refusal, match="ends before position 500"):
                await exported(wrong, after=500)

        assert Imported(events=2, held=0, secrets=None, position=38) == done
        assert await whole(source) == await whole(target)
        assert [] == await whole(empty)


def without_line(lines: list[bytes]) -> None:
    """Take an event out."""
    del lines[5]


def swapped(lines: list[bytes]) -> None:
    """Put two events in the other order."""
    lines[5], lines[6] = lines[6], lines[5]


def changed_text(lines: list[bytes]) -> None:
    """Change a text."""
    lines[3] = lines[3].replace("第".encode(), "某".encode())


def not_json(lines: list[bytes]) -> None:
    """Cut a line in two."""
    lines[4] = lines[4][:20]


def no_event(lines: list[bytes]) -> None:
    """Leave out a field of an event."""
    lines[4] = lines[4].replace(b'"chid"', b'"shid"')


def newer(lines: list[bytes]) -> None:
    """Bring an event of a newer release."""
    lines[4] = lines[4].replace(b'"schema":1', b'"schema":7')


def newer_format(lines: list[bytes]) -> None:
    """Bring a file of a newer release."""
    lines[0] = lines[0].replace(b'"format":1', b'"format":2')


def other_shards(lines: list[bytes]) -> None:
    """Bring a log that is spread otherwise."""
    lines[0] = lines[0].replace(b'"shards":64', b'"shards":8')


def nonsense(lines: list[bytes]) -> None:
    """Bring something else altogether."""
    lines[0] = b"PK\x03\x04"


def version_again(lines: list[bytes]) -> None:
    """Have a stream begin twice."""
    lines[13] = lines[13].replace(b'"version":2', b'"version":1')


def after_the_end(lines: list[bytes]) -> None:
    """Let something follow the footer."""
    lines.append(lines[1])


def fewer_in_the_footer(lines: list[bytes]) -> None:
    """Let the footer count wrong."""
    lines[-1] = lines[-1].replace(b'"events":36', b'"events":35')


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_line, "line 6 has position 6 where 5 is due"),
        (swapped, "line 6 has position 6 where 5 is due"),
        (changed_text, "the file is damaged"),
        (not_json, "line 5 is damaged"),
        (no_event, "line 5 is damaged"),
        (newer, "a newer release of WXRC wrote it"),
        (newer_format, "this release reads format 1"),
        (other_shards, "spread over 8 shards"),
        (nonsense, "not that of a file of `wxrc export`"),
        (version_again, "it has version 1 of s/0"),
        (after_the_end, "follows the file's end"),
        (fewer_in_the_footer, "the file is damaged"),
    ],
)
async def test_a_damaged_file(spoil: Callable[[list[bytes]], None], words: str) -> None:
    """What is damaged is refused by line, and the log that it leaves behind cannot be served."""
    async with MemoryStore() as source, MemoryStore() as target:
        await filled(source)
        lines = (await exported(source)).splitlines(keepends=False)
        lines = [line for line in lines if line]
        spoil(lines)
        with pytest.raises(Refusal, match=words):
            await imported(target, b"\n".join(lines) + b"\n")
        if await whole(target):
            with pytest.raises(Refusal, match="unfinished"):
                await check_finished(target.vault)


async def test_another_log_is_left_alone() -> None:
    """A store with another log, or with more of this one, is not written to, nor marked."""
    async with MemoryStore() as source, MemoryStore() as other, MemoryStore() as ahead:
        await filled(source)
        file = await exported(source, passphrase=PASSPHRASE)
        await other.append([Entry("mine", 0, [queued()])])
        with pytest.raises(Refusal, match="this store has another log: its event at position 1"):
            await imported(other, file, passphrase=PASSPHRASE)
        await imported(ahead, file, passphrase=PASSPHRASE)
        await ahead.append([Entry("more", 0, [queued()])])
        await ahead.vault.put("会话", b"newer")
        with pytest.raises(Refusal, match="events behind the file's last one, from position 37"):
            await imported(ahead, file, passphrase=PASSPHRASE)
        await check_finished(other.vault)
        await check_finished(ahead.vault)

        assert 1 == len(await whole(other))
        assert b"newer" == await ahead.vault.get("会话")


async def test_secrets_need_their_passphrase() -> None:
    """A wrong, a missing or a short passphrase is refused before anything is written."""
    async with MemoryStore() as source, MemoryStore() as target:
        await filled(source)
        file = await exported(source, passphrase=PASSPHRASE)
        with pytest.raises(Refusal, match="do not open with this passphrase"):
            await imported(target, file, passphrase=b"something else entirely")
        with pytest.raises(Refusal, match="--with-secrets"):
            await imported(target, file)
        with pytest.raises(Refusal, match="the file has no secrets"):
            await imported(target, await exported(source), passphrase=PASSPHRASE)
        with pytest.raises(Refusal, match="at least 12"):
            await exported(source, passphrase=b"short")

        assert ([], []) == (await whole(target), list(await target.vault.names()))


async def test_pruned_meanwhile() -> None:
    """A log that is pruned while it is exported is no export: a message without its end would be sent again elsewhere."""
    async with MemoryStore() as source, MemoryStore() as target:
        await filled(source)
        chunks = export_log(source, source.vault, time="now", release="1")
        file = await anext(chunks) + await anext(chunks)
        await source.forget({"s/11": 3, "s/1": 3})
        file += await anext(chunks)
        with pytest.raises(Refusal, match="pruned while it was exported"):
            [chunk async for chunk in chunks]
        with pytest.raises(Refusal, match="line 15 has position 15 where 14 is due"):
            await imported(target, file)


async def test_a_service_runs_there() -> None:
    """Nothing is imported into a store that somebody serves."""
    async with MemoryStore() as source, MemoryStore() as target:
        await filled(source)
        file = await exported(source)
        await target.acquire(await target.join("service"), [3], 0)
        with pytest.raises(Refusal, match="a service runs on this store"):
            await imported(target, file)


async def test_a_file_without_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes without end are refused before they fill the memory."""
    monkeypatch.setattr("wxrc_gateway.restore.LINE_LIMIT", 5000)
    async with MemoryStore() as target:
        with pytest.raises(Refusal, match="a line has more than"):
            await imported(target, b"x" * 10_000)


def test_the_archive_has_the_same_lines() -> None:
    """One form for an event, wherever it is written."""
    line = json.loads(_transfer.event_line(Recorded(5, "s", 2, attempted(1))))

    assert ["position", "stream", "version", "type", "schema", "data"] == list(line)
