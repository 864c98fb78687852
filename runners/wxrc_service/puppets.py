"""The kinds of puppet that the service knows. Another kind is one more entry here."""

from collections.abc import Mapping

import attrs

from wxrc_core.errors import WxrcError
from wxrc_core.puppet import Capabilities
from wxrc_gateway import PuppetKind
from wxrc_puppet.port import Puppet, PuppetContext
from wxrc_puppet.simulator import SimulatedPuppet, World, read_options, simulator


def simulator_kind(world: World) -> PuppetKind:
    """Return the simulator, whose bots live in this world."""

    def describe(options: Mapping[str, str]) -> Capabilities:
        return attrs.evolve(SimulatedPuppet.capabilities, deduplicates=read_options(options).deduplicates)

    return PuppetKind(simulator(world), SimulatedPuppet.capabilities, describe)
