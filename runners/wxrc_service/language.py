"""The language in which the `wxrc` command speaks: Chinese or English, as the environment says.

Every text for people stands in the code as a `LocalizedText`, both languages side by side. `choose` takes the one that is wanted:

    click.echo(choose(LocalizedText("渠道 {chid} 已暂停", "channel {chid} is suspended"), chid=chid))
"""

import os
from collections.abc import Mapping
from typing import Literal, TypeAlias

from wxrc_http.sentences import LocalizedText as LocalizedText

Language: TypeAlias = Literal["zh", "en"]

SOURCES = ("WXRC_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
"""Where the language is looked for; the first that is set decides."""


def language(environ: Mapping[str, str] = os.environ) -> Language:
    """Return `zh` where the environment asks for Chinese (`LANG=zh_CN.UTF-8`), and `en` otherwise."""
    wanted = next((environ[name] for name in SOURCES if environ.get(name)), "")
    return "zh" if wanted.lower().startswith("zh") else "en"


def choose(text: LocalizedText, /, **values: object) -> str:
    """Return a text in the language of the environment, with its `{...}` filled in."""
    return (text.zh if language() == "zh" else text.en).format_map(values)


def say(zh: str, en: str, /, **values: object) -> str:
    """Return one of two texts, in the language of the environment, with its `{...}` filled in."""
    return choose(LocalizedText(zh, en), **values)
