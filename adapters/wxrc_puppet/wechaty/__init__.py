"""The Wechaty puppet: a WeChat account behind any Wechaty puppet gateway (gRPC). asyncio only.

`WechatyPuppet` is the `PuppetFactory` for it; `parse_options` checks what `wxrc bot add --option k=v` said, without connecting.
"""

from wxrc_puppet.wechaty._options import WechatyOptions, parse_options
from wxrc_puppet.wechaty._puppet import WechatyPuppet

__all__ = ["WechatyOptions", "WechatyPuppet", "parse_options"]
