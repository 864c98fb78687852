"""What a request carries besides text: the card in `app`, the image in `file`."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

from wxrc_core.content import MAX_IMAGE_BYTES, Card, Image, is_source
from wxrc_core.errors import InvalidValue
from wxrc_http import bodies, fields
from wxrc_http.answers import Code, Fault
from wxrc_http.call import Call
from wxrc_http.sentences import RULES
from wxrc_http.strict_json import Unreadable, parse

_DATA: Final = re.compile(r"data:[^,]{0,256};base64,", re.IGNORECASE)


def card(app: Mapping[str, Any] | str) -> Card:
    """Return the card that `app` describes: a JSON object, or the JSON text of one.

    Raises:
        Fault: It is incomplete (30), or a field has a wrong type (31) or value (32); the sentence names the field in `app`.
    """
    if isinstance(app, str):
        try:
            app = parse(app.encode())
        except (Unreadable, UnicodeEncodeError) as error:
            raise fields.wrong("app") from error
        if not isinstance(app, dict):
            raise fields.wrong("app")
    within = "reqBody.app"
    fields.require(app, bodies.App, within)
    if "appid" not in app and "username" not in app:
        raise Fault(Code.BODY_INCOMPLETE, "missing", field=f"{within}.appid", rule=RULES["appid"])
    found = fields.read(app, bodies.App, within)
    old, new = fields.given(found.thumbnailUrl), fields.given(found.thumbUrl)
    if old and new and old != new:
        raise Fault(Code.BODY_VALUE, "one of two", one="app.thumbnailUrl", other="app.thumbUrl")
    return Card(
        title=found.title,
        page_path=found.pagepath,
        appid=fields.given(found.appid),
        username=fields.given(found.username),
        description=fields.given(found.description),
        thumb_url=new or old,
        thumb_key=fields.given(found.thumbKey),
    )


async def image(call: Call, file: str) -> Image:
    """Return the image that `file` names. What a `data:` URL has is checked and stored now, anything else is fetched later.

    Raises:
        Fault: It can be no image's source, or the bytes are no image (32).
    """
    head = _DATA.match(file)
    if head is None:
        if len(file) > bodies.MAX_URL or not is_source(file):
            raise fields.wrong("file")
        return Image(source=file)
    if len(file) > MAX_IMAGE_BYTES * 4 // 3 + 300:
        raise fields.wrong("file")
    try:
        return await call.backend.store_image(base64.b64decode(file[head.end() :], validate=True))
    except (binascii.Error, ValueError) as error:
        raise fields.wrong("file") from error
    except InvalidValue as error:
        raise Fault(Code.BODY_VALUE, "no image", reason=error.localized) from error
