"""WeChat clients: the port that every puppet answers to. Each client has a package of its own beside it."""

from wxrc_puppet.port import Puppet, PuppetContext, PuppetError, PuppetFactory, ReportTo, SessionSlot

__all__ = ["Puppet", "PuppetContext", "PuppetError", "PuppetFactory", "ReportTo", "SessionSlot"]
