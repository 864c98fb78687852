"""What operators and receivers' people read about callbacks: the command's output in both languages, and the examples in the docs."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import anyio
import pytest
from click.testing import CliRunner, Result

from tests.pages import blocks
from wxrc_core import channel, delivery
from wxrc_core.delivery import DeliveryDue, DeliveryGivenUp
from wxrc_core.log import Entry
from wxrc_gateway import Gateway
from wxrc_gateway.gateway import wall_clock
from wxrc_service.cli import main
from wxrc_store.sqlite import SqliteStore
from wxrc_webhook import Callback, encode

ROOT = Path(__file__).parent.parent
STREAM = delivery.stream_name(1, "crm")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory whose channel `crm` has a disabled callback URL and one dead letter."""

    async def fill() -> None:
        at = wall_clock()
        async with Gateway(store=SqliteStore(tmp_path / "wxrc.db"), puppets={}, passive=True) as gateway:
            await gateway.add_channel("crm", callback_url="http://127.0.0.1:9/", allow_private=True)
            due = DeliveryDue(at=at, chid="crm", botcode="b", kind="sendStatus", body="{}")
            dead = DeliveryGivenUp(at=at, attempt=11, reason="answered 502")
            await gateway.store.append([Entry(STREAM, 0, (due, dead))])
            disabled = channel.CallbackDisabled(
                at=at, since=at - 1000, reason="answered 502", callback_url="http://127.0.0.1:9/"
            )
            await gateway.execute(channel.stream_name("crm"), channel.Alter((disabled,)))

    anyio.run(fill)
    return tmp_path


def run(data: Path, *arguments: str, lang: str = "en_US.UTF-8") -> Result:
    """Run `wxrc callbacks ...`."""
    command = ["callbacks", *arguments, "--data", str(data)]
    return CliRunner().invoke(main, command, env={"LANG": lang, "LC_ALL": lang, "WXRC_LANG": lang})


def test_the_whole_way(data: Path) -> None:
    """List, dead, a replay that is refused with what to do, retry, replay by id and all; nothing is replayed twice."""
    listed = json.loads(run(data, "list", "--json").output)
    assert [("crm", "disabled", "answered 502")] == [
        (each["chid"], each["state"], each["reason"]) for each in listed["channels"]
    ]
    [dead] = json.loads(run(data, "dead", "--json", "--since", "1h").output)
    assert ("evt_1_crm", 11) == (dead["id"], dead["attempts"])
    assert [] == json.loads(run(data, "dead", "--json", "--channel", "other").output)

    shown = json.loads(run(data, "show", "evt_1_crm", "--json").output)
    assert [("delivery.due", ""), ("delivery.given_up", "answered 502")] == [
        (step["event"], step["reason"]) for step in shown["steps"]
    ]
    assert "attempt 11; answered 502" in run(data, "show", "evt_1_crm").output

    refused = run(data, "replay", "evt_1_crm")
    assert (1, True) == (refused.exit_code, "run `wxrc callbacks retry crm` first" in refused.output)
    assert 0 == run(data, "retry", "crm").exit_code
    assert {"replayed": 1} == json.loads(run(data, "replay", "--all", "--json").output)
    assert {"replayed": 0} == json.loads(run(data, "replay", "--all", "--json").output)
    assert ["evt_1_crm"] == [each["id"] for each in json.loads(run(data, "list", "--json").output)["waiting"]]


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en_US.UTF-8", ("crm  disabled since 20", "answered 502", "wxrc callbacks retry crm", "0 waiting")),
        ("zh_CN.UTF-8", ("crm  已停用，自 20", "answered 502", "wxrc callbacks retry crm", "等待中 0 个")),
    ],
)
def test_in_both_languages(data: Path, lang: str, words: tuple[str, ...]) -> None:
    """A line says since when, why, what to do and how many wait."""
    said = run(data, "list", lang=lang).output

    assert [True] * len(words) == [each in said for each in words]


@pytest.mark.parametrize(
    "arguments",
    [(), ("--all", "evt_1_crm"), ("--all", "--bot", "b"), ("evt_1_crm", "--since", "2h"), ("--since", "soon")],
)
def test_a_selection_must_be_clear(data: Path, arguments: tuple[str, ...]) -> None:
    """Nothing is replayed unless it is said what: ids, a selection, or all, one of the three."""
    assert 2 == run(data, "replay", *arguments).exit_code


@pytest.mark.wire("callback.formats")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_examples_of_the_formats(language: str) -> None:
    """The page about the wire shows one callback in the three formats as they are sent."""
    page = ROOT / "docs" / language / "wire.md"
    [form] = blocks(page, "text form")
    body: dict[str, Any] = json.loads(parse_qs(form.text.strip())["reqBody"][0])
    shown = {
        "form": form.text.strip(),
        "bracket": blocks(page, "text bracket")[0].text.strip(),
        "json": next(each.text.strip() for each in blocks(page, "json") if '"reqHead":{}' in each.text),
    }

    assert {
        name: encode(Callback(webhook_id="x", body=body, format=name)).body.decode()  # type: ignore[arg-type]
        for name in shown
    } == shown
