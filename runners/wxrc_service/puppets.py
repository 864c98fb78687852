"""The kinds of puppet that the service knows: its own two, and what installed packages offer (`plugins`)."""

import os
from collections.abc import Mapping
from contextlib import suppress

import attrs

from wxrc_core.errors import Refusal
from wxrc_core.puppet import Capabilities
from wxrc_gateway import PuppetKind
from wxrc_puppet.port import Puppet, PuppetContext
from wxrc_puppet.simulator import SimulatedPuppet, SimulatedWeChat, read_options, simulator
from wxrc_service import plugins


def simulator_kind(world: SimulatedWeChat) -> PuppetKind:
    """Return the simulator, whose bots live in this world."""

    def prepare(botcode: str, options: Mapping[str, str]) -> Capabilities:
        world.ensure_account(botcode, options)  # its phone is there from now on
        return attrs.evolve(SimulatedPuppet.capabilities, deduplicates=read_options(options).deduplicates)

    return PuppetKind(simulator(world), SimulatedPuppet.capabilities, prepare)


def wechaty_kind() -> PuppetKind:
    """Return the client of Wechaty gateways.

    Raises:
        Refusal: Its libraries are not installed.
    """
    # gRPC's C core writes notes of its own to stderr when a gateway goes; what matters is in our own log.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        from wxrc_puppet.wechaty import WechatyPuppet, parse_options
    except ModuleNotFoundError as error:
        raise Refusal(
            f"puppet 'wechaty' needs the module '{error.name}'; install it with: pip install 'wxrc[wechaty]'"
        ) from error

    def prepare(botcode: str, options: Mapping[str, str]) -> Capabilities:
        parse_options(options)
        return WechatyPuppet.capabilities

    def create(context: PuppetContext) -> Puppet:
        return WechatyPuppet(context)

    return PuppetKind(create, WechatyPuppet.capabilities, prepare)


OWN = ("simulator", "wechaty")
NAMES = (*OWN, *(name for name in plugins.offered() if name not in OWN))
"""Every puppet that `wxrc bot add --puppet` takes."""


def kind_named(name: str, world: SimulatedWeChat) -> PuppetKind:
    """Return one kind; simulated bots live in this world.

    Raises:
        Refusal: Its libraries are not installed, or it cannot be loaded.
    """
    match name:
        case "simulator":
            return simulator_kind(world)
        case "wechaty":
            return wechaty_kind()
        case _:
            return plugins.load(name)


async def kinds(world: SimulatedWeChat | None) -> dict[str, PuppetKind]:
    """Return every kind that can be run here; simulated bots live in this world, and where there is none, none are run."""
    known = {} if world is None else {"simulator": simulator_kind(world)}
    with suppress(Refusal):  # not installed: `wxrc bot add` and a bot that needs it say so
        known["wechaty"] = wechaty_kind()
    return known | await plugins.load_all(reserved=OWN)
