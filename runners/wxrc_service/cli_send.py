"""`wxrc send`: a text, a card or an image, to a room or to a person."""

import json
from pathlib import Path
from typing import Any

import attrs
import click
import msgspec

from wxrc_core import message
from wxrc_core.content import MAX_IMAGE_BYTES, Card, is_url
from wxrc_core.errors import Refusal
from wxrc_core.message import MessageState
from wxrc_gateway import Gateway
from wxrc_gateway.listing import message_entry
from wxrc_gateway.overview import bot_overview
from wxrc_http.port import MessageRecord
from wxrc_service import show
from wxrc_service.cli_run import attached, echo_json, run
from wxrc_service.data import DataDir
from wxrc_service.language import say
from wxrc_service.options import data_option, json_option

_FIELDS = {"title": "title", "pagepath": "page_path", "appid": "appid", "username": "username", "description": "description",
           "thumbUrl": "thumb_url", "thumbnailUrl": "thumb_url", "thumbKey": "thumb_key"}  # fmt: skip
"""A card's fields on the wire (wire.md, roomSendApp), and in `wxrc_core.content.Card`."""


@click.command("send")
@click.argument("botcode", metavar="BOT")
@click.option("--room", default="", metavar="TOPIC", help="The room's name.")
@click.option("--user", default="", metavar="NAME", help="A person's remark or nickname, instead of a room.")
@click.option("--image", "image_file", default="", metavar="FILE|URL", help="An image, instead of a text.")
@click.option(
    "--card", "card_json", default="", metavar="JSON", help="A mini-program card as JSON (or @FILE), instead of a text."
)
@click.option(
    "--wait",
    "wait_s",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    help="Seconds to wait for its end.",
)
@click.argument("text", required=False)
@json_option
@data_option
def send_command(
    data: DataDir,
    botcode: str,
    room: str,
    user: str,
    image_file: str,
    card_json: str,
    wait_s: float,
    text: str | None,
    as_json: bool,
) -> None:
    """Send a text, a card or an image to a room or a person, and tell what became of it.

    Ends with 1 where it will not be sent, or may not have been.
    """
    if bool(room) == bool(user):
        raise click.UsageError("name a room with --room or a person with --user, one of the two")
    if [text is not None, bool(image_file), bool(card_json)].count(True) != 1:
        raise click.UsageError("give a text, --image or --card, one of the three")
    card = _card(card_json) if card_json else None
    image = _image(image_file) if image_file else ""

    async def send(gateway: Gateway) -> MessageRecord:
        where: dict[str, Any] = {"room": room, "user": user, "wait_s": wait_s}
        if card is not None:
            return await gateway.send_app(botcode, card, **where)
        if image:
            return await gateway.send_image(botcode, image, **where)
        return await gateway.send_text(botcode, text or "", **where)

    async def work() -> int:
        async with attached(data) as (gateway, _):
            record = await send(gateway)
            status, reason = message.send_status(record.message)
            entry, held_by = message_entry(record), bot_overview(gateway, botcode, served=True)
            if as_json:
                echo_json({"sendStatus": status, "sendReason": reason, **msgspec.to_builtins(entry)})
            else:
                for line in show.message_lines(entry):
                    click.echo(line)
                if entry.state == "sent" and status != "1":
                    click.echo(say("被@的人不在群里。", "The one to mention is not in the room."))
                if entry.state == "queued" and not held_by.reachable:
                    click.echo(say("等待机器人可以发送：", "It is held until the bot can send:"))
                    for line in show.bot_lines(held_by):
                        click.echo(line)
            good = (MessageState.SENT, MessageState.QUEUED, MessageState.ATTEMPTED)
            return 0 if record.message.state in good else 1

    raise SystemExit(run(work))


def _image(name: str) -> str | bytes:
    """Return a URL as it is, or the bytes of a file."""
    if is_url(name):
        return name
    try:
        with Path(name).open("rb") as file:
            return file.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        raise click.BadParameter(f"{name} cannot be read: {error.strerror}", param_hint="--image") from None


def _card(written: str) -> Card:
    try:
        app = json.loads(Path(written[1:]).read_text(encoding="utf-8") if written.startswith("@") else written)
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"it must be a JSON object: {error}", param_hint="--card") from None
    if not isinstance(app, dict) or not all(isinstance(value, str) for value in app.values()):
        raise click.BadParameter("it must be a JSON object with strings in it", param_hint="--card")
    unknown = [name for name in app if name not in _FIELDS]
    if unknown:
        raise click.BadParameter(f"there is no field {unknown[0]}; there are {', '.join(_FIELDS)}", param_hint="--card")
    empty = {field.name: "" for field in attrs.fields(Card)}
    try:
        return Card(**empty | {_FIELDS[name]: value for name, value in app.items()})
    except TypeError as error:
        raise Refusal(str(error)) from error
