"""The `wxrc` command and the service on a PostgreSQL store: set-up, requests, verify, prune, and that the password is never shown."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import anyio
import click
import pytest

from tests.live import Service, call, cli
from tests.postgres import PostgresServer
from wxrc_core import message
from wxrc_core.log import Entry
from wxrc_service.cli import main
from wxrc_service.stores import has_password, shown
from wxrc_store.postgres import PostgresStore

pytestmark = pytest.mark.slow

OLD = 1_700_000_000_000
"""In November 2023."""


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """The URL of a new database, with a password that the server does not ask for."""
    return postgres.url(postgres.database()).replace("postgres@", "postgres:hunter2@")


def test_the_service_on_postgres(url: str, tmp_path: Path) -> None:
    """Set up by the command, the service takes requests; killed and started on another machine's directory it has all of them."""
    env = {"WXRC_STORE": url, "WXRC_LOG_LEVEL": "INFO"}
    data, other = tmp_path / "one", tmp_path / "two"
    made = cli("channel", "add", "crm", data=data, env=env)
    key = made.stdout.split()[made.stdout.split().index("key") + 1]
    cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm", data=data, env=env)
    with Service(data, env=env) as service:
        service.start()
        answer = call(
            service.url, "crm", key, "zhao", "roomSendText", {"roomTopic": "一群", "text": "你好"}, txcode="t1"
        )
        service.kill()
        said = service.said()
    env |= {"WXRC_VAULT_KEY": (data / "vault.key").read_text().strip()}
    with Service(other, env=env) as service:
        service.start()
        again = call(
            service.url, "crm", key, "zhao", "roomSendText", {"roomTopic": "一群", "text": "你好"}, txcode="t1"
        )
        status = cli("status", data=other, env=env).stdout
        verified = cli("verify", data=other, env=env).stdout
        assert 0 == service.stop()
        said += service.said()

    assert answer["msgid"] == again["msgid"]
    assert "1 queued" in status
    assert "are in order" in verified
    assert "hunter2" not in said + status
    assert f"on {data} and postgresql://127.0.0.1:" in said
    assert not (data / "wxrc.db").exists()
    assert not (other / "vault.key").exists()


def test_verify_and_prune(url: str, tmp_path: Path) -> None:
    """Old messages that have ended go into the archive, and what is left keeps its position."""
    data, archive = tmp_path / "data", tmp_path / "archive.gz"
    cli("channel", "add", "crm", data=data, env={"WXRC_STORE": url})
    cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm", data=data, env={"WXRC_STORE": url})
    lives = [life(number) for number in range(700)]

    async def fill() -> None:
        async with PostgresStore(url, vault_key=data / "vault.key") as store:
            await store.append(lives)

    async def positions() -> list[int]:
        async with PostgresStore(url, vault_key=data / "vault.key") as store:
            return [recorded.position for recorded in await store.read_all()]

    anyio.run(fill)
    place = ("--store", url)
    (tmp_path / "store-url").write_text(url)
    before = cli("verify", *place, data=data)
    pruned = cli(
        "prune", "--before", "2024-01-01", "--archive", str(archive), "--store", f"@{tmp_path / 'store-url'}", data=data
    )
    left = anyio.run(positions)

    assert "2103 events" in before.stdout
    assert "699 streams with 2097 events" in pruned.stdout  # the one with the newest event stays
    assert 2097 == len(gzip.decompress(archive.read_bytes()).splitlines())
    assert [1, 2, 3, 2101, 2102, 2103] == left
    assert "can read the password in --store" in before.stderr
    assert "" == pruned.stderr
    assert "hunter2" not in before.stdout + before.stderr + pruned.stdout


def commands(command: click.Command, path: str = "wxrc") -> Iterator[tuple[str, click.Command]]:
    """Return all commands that do something, with their names."""
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from commands(each, f"{path} {name}")
    else:
        yield path, command


@pytest.mark.parametrize(
    ("name", "command"), list(commands(main)), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_takes_a_store(name: str, command: click.Command) -> None:
    """Whatever a command does, it does it on a server too."""
    options = {each.name for each in command.params}

    assert {"data", "store", "vault_key_file"} <= options


def test_moving_to_postgres(url: str, tmp_path: Path) -> None:
    """A log goes from a file to a server with its secrets: the same KEY is taken, and nothing is imported under a service that runs."""
    here, there, place, env = tmp_path / "here", tmp_path / "there", tmp_path / "log", {"WXRC_STORE": url}
    (tmp_path / "pass").write_text("correct horse battery staple")
    sealed = ("--with-secrets", str(tmp_path / "pass"))
    made = json.loads(cli("channel", "add", "crm", "--json", data=here).stdout)
    cli("bot", "add", "zhao", "--puppet", "simulator", "--channel", "crm", data=here)
    cli("export", str(place), *sealed, data=here)
    cli("import", str(place), *sealed, data=there, env=env)
    verified = cli("verify", data=there, env=env).stdout
    with Service(there, env=env) as service:
        service.start()
        answer = call(
            service.url, "crm", made["key"], "zhao", "roomSendText", {"roomTopic": "一群", "text": "你好"}, txcode="t1"
        )
        env |= {"WXRC_VAULT_KEY": (there / "vault.key").read_text().strip()}
        refused = cli("import", str(place), *sealed, data=tmp_path / "elsewhere", env=env, expect=1)
        assert 0 == service.stop()

    assert "are in order" in verified
    assert answer["msgid"] is not None
    assert "uses the log on" in refused.stderr
    assert "hunter2" not in refused.stderr


def life(number: int) -> Entry:
    """Return the whole life of an old message."""
    return Entry(
        f"message/crm/20231114/{number:020}",
        0,
        [
            message.MessageQueued(
                at=OLD,
                chid="crm",
                botcode="zhao",
                txcode=f"{number:020}",
                interface="roomSendText",
                digest="d",
                text="x",
            ),
            message.MessageAttempted(at=OLD + 5, attempt=1, room_id="1@chatroom"),
            message.MessageSent(at=OLD + 9, attempt=1, receipt=f"{number}", answered=True),
        ],
    )


@pytest.mark.parametrize(
    ("arguments", "env", "sentence"),
    [
        (
            ["--store", "mysql://u:hunter2@h/d"],
            {},
            "the store must be a URL as in postgresql://user@host/database or nats://",
        ),
        (["--store", "postgresql://u:hunter2@127.0.0.1:1/d"], {}, "127.0.0.1:1/d cannot be reached"),
        (["--store", "@nowhere"], {}, "nowhere cannot be read: No such file or directory"),
        (["--store", "postgresql:///d"], {"WXRC_VAULT_KEY": "ab"}, "WXRC_VAULT_KEY must be 64 hexadecimal digits"),
    ],
)
def test_what_the_command_refuses(tmp_path: Path, arguments: list[str], env: dict[str, str], sentence: str) -> None:
    """A store that cannot be used is refused in a sentence without the password, and without a traceback."""
    done = cli("status", *arguments, data=tmp_path / "data", env=env, expect=None)

    assert done.returncode in (1, 2)
    assert sentence in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("url", "secret", "expected"),
    [
        ("postgresql://u:p@h:5/d", True, "postgresql://h:5/d"),
        ("postgresql://u:p@w@h/d?sslmode=require", True, "postgresql://h/d"),
        ("postgresql://u@h,i/d", False, "postgresql://h,i/d"),
        ("postgresql:///d?host=/run&user=u&password=p", True, "postgresql:///d"),
        ("nats://a:4222,b", False, "nats://a:4222,b"),
        ("nats://u:p@a,b/log?monitor=1", True, "nats://a,b/log"),
        ("nats://token@a,b/log", True, "nats://a,b/log"),
    ],
)
def test_what_is_shown_of_a_url(url: str, secret: bool, expected: str) -> None:
    """No user, no password and no parameter of a URL is shown, and a password in it is noticed."""
    assert (secret, expected) == (has_password(url), shown(url))
