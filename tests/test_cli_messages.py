"""`wxrc send` and `wxrc login` beside a running service: people, cards, images, and the digits of a login."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import pytest

from tests.images import png
from tests.live import Service, cli, record, scan_and_confirm, surroundings

pytestmark = pytest.mark.slow

CARD = {"title": "订单", "pagepath": "pages/order", "appid": "wx1", "thumbnailUrl": "https://img.example/1.png"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with bot `zhao`, logged in."""
    data = tmp_path_factory.mktemp("cli") / "data"
    cli("bot", "add", "zhao", "--puppet", "simulator", "--option", "startup_ms=0", data=data)
    cli("bot", "add", "qian", "--puppet", "simulator", "--option", "startup_ms=0", "--option", "digits=on", data=data)
    with Service(data) as service:
        service.start()
        log_in(service, "zhao", [])
        yield service


def log_in(service: Service, botcode: str, digits: list[str]) -> str:
    """Log a bot in by the command, enter these digits and then the right ones where they are asked for; return what was printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "wxrc_service", "login", botcode, "--data", str(service.data)],
        env=surroundings(PYTHONUNBUFFERED="1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        said = ""
        while not (found := re.search(r"http\S+/sim/qr/\S+", said)):
            said += process.stdout.readline()
        scan_and_confirm(found[0])
        shown = re.search(r'class="digits">(\d+)<', httpx2.get(found[0]).text)
        for each in [*digits, shown[1]] if shown else []:
            process.stdin.write(each + "\n")
            process.stdin.flush()
        said += process.stdout.read()
        process.wait(30)
    assert 0 == process.returncode, said
    return said


def test_a_text_to_a_person(service: Service) -> None:
    """By nickname; nobody of that name is told so, and is no success."""
    done = cli("send", "zhao", "--user", "赵立伟", "命令行", data=service.data)
    missing = cli("send", "zhao", "--user", "没有这个人", "命令行", data=service.data, expect=1)

    assert "sent" in done.stdout
    assert "no such room or person" in missing.stdout
    assert "there is no such person" in missing.stdout
    assert [("赵立伟", "命令行")] == [
        (each["user"], each["text"]) for each in record(service.url, "zhao") if each["text"]
    ]


def test_a_card(service: Service) -> None:
    """As JSON, or from a file."""
    path = service.data.parent / "card.json"
    path.write_text(json.dumps(CARD, ensure_ascii=False), encoding="utf-8")
    cli("send", "zhao", "--room", "客服一群", "--card", json.dumps(CARD), data=service.data)
    cli("send", "zhao", "--user", "赵立伟", "--card", f"@{path}", data=service.data)

    cards = [each["card"] for each in record(service.url, "zhao") if "card" in each]
    assert 2 == len(cards)
    assert cards[0] == cards[1]
    assert ("订单", "https://img.example/1.png") == (cards[0]["title"], cards[0]["thumb_url"])


def test_an_image(service: Service) -> None:
    """A file of this machine is sent; one that is no image is refused in a sentence."""
    path = service.data.parent / "a.png"
    path.write_bytes(png())
    (service.data.parent / "b.png").write_bytes(b"<html>")
    cli("send", "zhao", "--room", "客服一群", "--image", str(path), data=service.data)
    wrong = cli(
        "send", "zhao", "--room", "客服一群", "--image", str(path.with_name("b.png")), data=service.data, expect=1
    )

    assert "not a PNG" in wrong.stderr
    [picture] = [each["image"] for each in record(service.url, "zhao") if "image" in each]
    shown = httpx2.get(f"{service.url}/sim/picture/{picture}")
    assert ("image/png", png()) == (shown.headers["content-type"], shown.content)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("text",), "--room or a person with --user"),
        (("--room", "a", "--user", "b", "text"), "one of the two"),
        (("--room", "a"), "one of the three"),
        (("--room", "a", "--image", "x.png", "text"), "one of the three"),
        (("--room", "a", "--image", "/nowhere.png"), "cannot be read"),
        (("--room", "a", "--card", "{"), "JSON object"),
        (("--room", "a", "--card", '{"titel": "x"}'), "there is no field titel"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], words: str, service: Service) -> None:
    """A sentence that says what would be right."""
    done = cli("send", "zhao", *arguments, data=service.data, expect=2)

    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_digits_are_asked_for_in_the_terminal(service: Service) -> None:
    """What is no digits is asked for again here, wrong digits by the phone, the right ones log in."""
    said = log_in(service, "qian", ["abc", "000000000"])

    assert "Enter the digits that the phone shows" in said
    assert "digits only" in said
    assert "not right" in said
    assert "qian is logged in as" in said
