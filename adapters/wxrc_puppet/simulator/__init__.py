"""A WeChat of our own: the simulator, with phones in the browser.

world = World("data/simulator.db")
puppets = simulator(world)                            # a `wxrc_puppet.port.PuppetFactory`
app = Starlette(routes=[..., *routes(world)])         # the phones, under /sim
"""

from wxrc_puppet.simulator.model import WorldError
from wxrc_puppet.simulator.options import BadOption, Options, read_options
from wxrc_puppet.simulator.puppet import SimulatedPuppet, simulator
from wxrc_puppet.simulator.web import routes
from wxrc_puppet.simulator.world import World

__all__ = ["BadOption", "Options", "SimulatedPuppet", "World", "WorldError", "read_options", "routes", "simulator"]
