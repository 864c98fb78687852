"""What the command line shows: the state of everything, and histories, in words for people."""

from collections.abc import Iterable
from datetime import datetime

import attrs

from wxrc_core import bot, codec
from wxrc_core.log import Recorded
from wxrc_core.message import MessageState
from wxrc_core.world import World
from wxrc_service.data import Holder


def clock_time(at: int) -> str:
    """Return a time (epoch ms) as people here write it."""
    return datetime.fromtimestamp(at / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


ACTIONS = {
    "none": "",
    "scan": "scan the QR code (`wxrc login BOT` shows it)",
    "confirm": "confirm the login on the phone",
    "enter_code": "hand over the digits that the phone shows",
    "relogin": "log in with `wxrc login BOT`",
}


def bot_line(the_bot: bot.Bot, served: bool) -> str:
    """Return a bot's state in one line: what, since when, why, and what to do next."""
    if not served:
        state = f"not running (was {the_bot.state} at the end)" if the_bot.running else str(the_bot.state)
    elif the_bot.state is bot.BotState.LOGIN and not the_bot.link:
        state = "login, but not reachable"
    else:
        state = str(the_bot.state)
    parts = [f"{the_bot.added.botcode}  {state}  since {clock_time(the_bot.since)}"]
    if the_bot.state is bot.BotState.LOGIN and the_bot.wxid:
        parts.append(f"as {the_bot.name} ({the_bot.wxid}), {len(the_bot.rooms)} rooms")
    if the_bot.reason:
        parts.append(f"why: {the_bot.reason.rstrip('.')}")
    action = ACTIONS["relogin" if the_bot.state is bot.BotState.LOGOUT else bot.user_action(the_bot)]
    if action and (served or the_bot.state is bot.BotState.LOGOUT):
        parts.append(f"next: {action.replace('BOT', the_bot.added.botcode)}")
    return "; ".join(parts)


def status_lines(world: World, holder: Holder | None) -> Iterable[str]:
    """Return the state of a service in lines."""
    if holder is None:
        yield "service   not running; start it with `wxrc serve`"
    else:
        yield f"service   running at {holder.url} since {clock_time(holder.since)} (process {holder.pid})"
    for found in world.view.bots.values():
        yield f"bot       {bot_line(found.state, holder is not None)}"
    if not world.view.bots:
        yield "bot       none; add one with `wxrc bot add`"
    for chid, known in world.view.channels.items():
        settings, grants = known.state.settings, ", ".join(known.state.grants) or "no bot"
        yield f"channel   {chid}  uses {grants}; callbacks to {settings.callback_url or 'nowhere'}"
    if not world.view.channels:
        yield "channel   none; add one with `wxrc channel add`"
    states = [found.state.state for found in world.messages.values()]
    queued, attempted = states.count(MessageState.QUEUED), states.count(MessageState.ATTEMPTED)
    yield f"messages  {queued} queued, {attempted} being sent, {len(world.doubts)} in doubt"
    yield f"callbacks {world.deliveries} under way"


def event_line(recorded: Recorded) -> str:
    """Return one event in one line: position, time, name, and its fields that say something."""
    event = recorded.event
    fields = attrs.asdict(
        event, recurse=False, filter=lambda attribute, value: attribute.name != "at" and value not in ("", (), None)
    )
    # The digest tells nothing to a reader, and an image URL lets whoever reads it log in.
    said = " ".join(f"{name}={_plain(value)}" for name, value in fields.items() if name not in ("digest", "image_url"))
    return f"{recorded.position:>8}  {clock_time(event.at)}  {codec.NAMES[type(event)]:<24} {said}".rstrip()


def _plain(value: object) -> str:
    if isinstance(value, tuple) and value and attrs.has(type(value[0])):
        return f"[{', '.join(str(attrs.astuple(each)) for each in value)}]"
    return repr(value) if isinstance(value, str) and (" " in value or not value.isprintable()) else str(value)
