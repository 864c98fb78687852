"""Setting up: channels, bots, grants and tokens, written straight to a store and its vault.

A gateway that runs on the same log, in this process or another, takes them in as they are written. The command line, the admin API and
`Gateway`'s own methods call these functions and no others. Every one says when (`at`, epoch ms) and who did it (`by`), which stands in
the log.
"""

from wxrc_gateway.admin_bot import PuppetKind as PuppetKind
from wxrc_gateway.admin_bot import add_bot as add_bot
from wxrc_gateway.admin_bot import options_name as options_name
from wxrc_gateway.admin_bot import remove_bot as remove_bot
from wxrc_gateway.admin_bot import session_name as session_name
from wxrc_gateway.admin_channel import ChannelSecrets as ChannelSecrets
from wxrc_gateway.admin_channel import NewSecret as NewSecret
from wxrc_gateway.admin_channel import add_channel as add_channel
from wxrc_gateway.admin_channel import alter as alter
from wxrc_gateway.admin_channel import change_channel as change_channel
from wxrc_gateway.admin_channel import end_key as end_key
from wxrc_gateway.admin_channel import end_secret as end_secret
from wxrc_gateway.admin_channel import grant_bot as grant_bot
from wxrc_gateway.admin_channel import remove_channel as remove_channel
from wxrc_gateway.admin_channel import resume as resume
from wxrc_gateway.admin_channel import revoke as revoke
from wxrc_gateway.admin_channel import rotate_key as rotate_key
from wxrc_gateway.admin_channel import rotate_secret as rotate_secret
from wxrc_gateway.admin_channel import suspend as suspend
from wxrc_gateway.admin_token import add_token as add_token
from wxrc_gateway.admin_token import authenticate as authenticate
from wxrc_gateway.admin_token import remove_token as remove_token
from wxrc_gateway.admin_values import SYSTEM_CHANCE as SYSTEM_CHANCE
from wxrc_gateway.admin_values import token_hex as token_hex
