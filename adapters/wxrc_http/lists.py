"""Lists come in pages (wire.md, section 2): `limit` entries from `cursor` on, and `cursor` in the answer while more follow."""

from collections.abc import Iterable
from typing import Any

from wxrc_http import bodies, fields
from wxrc_http.call import Answer, Call


async def room_list(call: Call) -> Answer:
    """List the rooms that the bot is known to be in, by id.

    `complete` tells whether the list is known to be whole: the bot is logged in and its puppet has named all rooms.
    """
    rooms = call.bot.rooms
    ids, rest = page(call, rooms)
    listed = [{"roomId": room, "roomTopic": rooms[room]} for room in ids]
    return "done", {"rooms": listed, "complete": call.bot.ready and call.bot.rooms_complete, **rest}


async def contact_list(call: Call) -> Answer:
    """List the people to whom the bot can write, by id; `complete` as in `room_list`."""
    contacts = call.bot.contacts
    ids, rest = page(call, contacts)
    listed = [{"userId": each, "userName": contacts[each].name, "remark": contacts[each].remark} for each in ids]
    return "done", {"contacts": listed, "complete": call.bot.ready and call.bot.contacts_complete, **rest}


def page(call: Call, entries: Iterable[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the entries of the page that is asked for, in order, and the cursor of the next one as a field, if there is one."""
    wanted = fields.read(call.body, bodies.Page)
    after = fields.given(wanted.cursor)
    names = sorted(name for name in entries if name > after)
    shown = names[: wanted.limit]
    return shown, {"cursor": shown[-1]} if len(names) > wanted.limit else {}
