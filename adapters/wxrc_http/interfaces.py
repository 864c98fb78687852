"""Every interface by its name on the wire (wire.md, section 2): what answers it, and what its reqBody may have.

Each checks its body and answers, or raises a `Fault`. Whoever gets there has signed, and holds a grant for the bot.
"""

from collections.abc import Mapping
from typing import Final

from wxrc_http import bodies, interfaces_bot, interfaces_messages, lists
from wxrc_http.call import Answer as Answer
from wxrc_http.call import Call as Call
from wxrc_http.call import Interface as Interface
from wxrc_http.call import SharedNames as SharedNames

INTERFACES: Final[Mapping[str, Interface]] = {
    "login": Interface(interfaces_bot.login, bodies.Empty),
    "macLogin": Interface(interfaces_bot.mac_login, bodies.Empty),
    "webLogin": Interface(interfaces_bot.web_login, bodies.Empty),
    "loginCode": Interface(interfaces_bot.login_code, bodies.Code),
    "botStatus": Interface(interfaces_bot.bot_status, bodies.Empty),
    "roomSendText": Interface(interfaces_messages.room_send_text, bodies.RoomText),
    "roomSendApp": Interface(interfaces_messages.room_send_app, bodies.RoomApp),
    "roomSendImg": Interface(interfaces_messages.room_send_img, bodies.RoomImage),
    "userSendText": Interface(interfaces_messages.user_send_text, bodies.UserText),
    "userSendApp": Interface(interfaces_messages.user_send_app, bodies.UserApp),
    "userSendImg": Interface(interfaces_messages.user_send_img, bodies.UserImage),
    "msgStatus": Interface(interfaces_messages.msg_status, bodies.MessageName),
    "msgCancel": Interface(interfaces_messages.msg_cancel, bodies.MessageNumber),
    "logout": Interface(interfaces_bot.logout, bodies.Empty),
    "stop": Interface(interfaces_bot.stop, bodies.Empty),
    "roomList": Interface(lists.room_list, bodies.Page),
    "contactList": Interface(lists.contact_list, bodies.Page),
    "botList": Interface(interfaces_bot.bot_list, bodies.Page),
}
