"""A WeChat of our own: the simulator, with phones in the browser.

wechat = SimulatedWeChat("data/simulator.db") puppets = simulator(wechat)                           # a
`wxrc_puppet.port.PuppetFactory` app = Starlette(routes=[..., *routes(wechat)])        # the phones, under /sim
"""

from wxrc_puppet.simulator.model import SimulatorError
from wxrc_puppet.simulator.options import BadOption, SimulatorOptions, read_options
from wxrc_puppet.simulator.puppet import SimulatedPuppet, simulator
from wxrc_puppet.simulator.web import routes
from wxrc_puppet.simulator.wechat import SimulatedWeChat

__all__ = [
    "BadOption",
    "SimulatedPuppet",
    "SimulatedWeChat",
    "SimulatorError",
    "SimulatorOptions",
    "read_options",
    "routes",
    "simulator",
]
