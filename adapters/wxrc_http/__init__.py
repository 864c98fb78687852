"""The wire in (wire.md, sections 1 and 2): requests of channels, their answers, and nothing of HTTP but ASGI."""

from wxrc_http.answers import Code
from wxrc_http.api import Api
from wxrc_http.interfaces import INTERFACES
from wxrc_http.port import Backend, MessageRecord

__all__ = ["INTERFACES", "Api", "Backend", "Code", "MessageRecord"]
