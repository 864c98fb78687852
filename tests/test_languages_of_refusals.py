"""Every refusal that a channel, or a caller of the admin API, may be answered with is there in Chinese and in English."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from wxrc_core import errors, message
from wxrc_core.content import check_image
from wxrc_core.errors import AlreadyTaken, InvalidValue, NotFound, Refusal, TxcodeReused, Unavailable, WxrcError
from wxrc_core.localized import LocalizedText
from wxrc_http.testing import NOW, Caller, FakeBackend
from wxrc_store.port import StoreError

ROOT = Path(__file__).parent.parent
SERVED = ("wxrc_core", "adapters/wxrc_http", "adapters/wxrc_webhook/guard.py", "runners/wxrc_gateway")
"""Where an error may come from that a request is answered with."""

ELSEWHERE = {
    "wxrc_core/boundary.py": "what puppets, receivers and clocks say: it is logged, and never answered",
    "wxrc_core/testing": "for tests",
    "adapters/wxrc_http/testing.py": "for tests",
    "runners/wxrc_gateway/export.py": "for `wxrc export` alone",
    "runners/wxrc_gateway/restore.py": "for `wxrc import` alone",
    "runners/wxrc_gateway/maintenance.py": "for `wxrc prune`, `verify` and `rebuild` alone",
}
KINDS = {"Refusal", "NotFound", "AlreadyTaken", "InvalidValue", "Unavailable", "NotEntered", "CallbackUrlError"}


def raised(source: str) -> Iterator[tuple[int, str]]:
    """Give out the line and the text of each such error that is made of one sentence only: a text, and no `LocalizedText`."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS and node.args):
            continue
        said = node.args[0]
        plain = isinstance(said, ast.JoinedStr | ast.BinOp) or (isinstance(said, ast.Constant) and said.value)
        if plain or (isinstance(said, ast.Call) and isinstance(said.func, ast.Name) and said.func.id == "str"):
            yield node.lineno, ast.unparse(said)


def files() -> Iterator[Path]:
    """Give out the files from which an error may come that a request is answered with."""
    for place in SERVED:
        found = [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py"))
        for path in found:
            name = str(path.relative_to(ROOT))
            if not any(name.startswith(each) for each in ELSEWHERE):
                yield path


def test_no_refusal_is_in_english_alone() -> None:
    """Nowhere on the way of a request is an error raised with a sentence in one language."""
    found = [f"{path.relative_to(ROOT)}:{line}: {said}" for path in files() for line, said in raised(path.read_text())]

    assert [] == found


def test_the_search_finds_what_it_looks_for() -> None:
    """The search above sees a sentence in one language, however it is written, and passes over one in two."""
    source = 'raise Refusal("no")\nraise InvalidValue(f"{x} no", "x")\nraise NotFound(str(error))\nraise Refusal(_TEXT.filled(a=1))'

    assert [1, 2, 3] == [line for line, _ in raised(source)]
    assert all((ROOT / name).exists() for name in ELSEWHERE)


def chinese(text: str) -> bool:
    """Return whether a text has Chinese in it."""
    return re.search(r"[\u4e00-\u9fff]", text) is not None


SENTENCES: list[WxrcError] = [
    TxcodeReused(),
    errors.IllegalTransition("message", "sent", "cancelled"),
    AlreadyTaken(LocalizedText("名称已被占用", "the name is taken")),
    NotFound(LocalizedText("没有", "there is none")),
    Unavailable(LocalizedText("正在启动", "starting")),
    StoreError("The store /var/lib/wxrc.db is full."),
]


@pytest.mark.parametrize("failure", SENTENCES, ids=lambda error: type(error).__name__)
@pytest.mark.anyio
async def test_an_answer_is_in_one_language(failure: WxrcError) -> None:
    """Whatever the backend refuses with, rtMsg is Chinese by default and has no word of it in English; and the other way round."""
    backend = FakeBackend()
    backend.failure = failure
    caller, body = Caller(backend), {"text": "x", "roomTopic": "客服一群"}
    zh = str((await caller.call("roomSendText", body))["rtMsg"])
    en = str((await caller.call("roomSendText", body, headers={"Accept-Language": "en"}))["rtMsg"])

    assert chinese(zh)
    assert not chinese(en)
    assert not re.search(r"[a-z]{3,} [a-z]{2,} [a-z]{2,}", zh), zh
    assert "/var/lib" not in zh + en


@pytest.mark.parametrize(
    ("data", "zh", "en"),
    [
        (b"", "图片是空的", "the image is empty"),
        (b"hello", "文件不是 PNG", "the file is not a PNG"),
    ],
)
def test_what_is_wrong_with_an_image_is_said_in_both(data: bytes, zh: str, en: str) -> None:
    """An image that cannot be sent is refused in both languages."""
    with pytest.raises(InvalidValue) as refused:
        check_image(data)

    assert zh in refused.value.localized.zh
    assert en in refused.value.localized.en


def test_what_the_core_refuses_is_said_in_both() -> None:
    """The refusals of the message aggregate that reach people have a Chinese sentence that names the state."""
    queued = message.MessageQueued(
        at=NOW, chid="crm", botcode="zhao", txcode="T", interface="roomSendText", digest="d", room_id="r", text="x"
    )
    state = message.evolve(message.evolve(None, queued), message.MessageAttempted(at=NOW, attempt=1, room_id="r"))
    for command in (message.Cancel(at=NOW), message.Resolve(at=NOW, verdict="sent", by="li")):
        with pytest.raises(Refusal) as refused:
            message.decide(state, command)

        assert "attempted" in refused.value.localized.zh
        assert chinese(refused.value.localized.zh)
        assert not chinese(refused.value.localized.en)
