"""The machines hold on the core as it is, and find what is wrong with a core into which a fault was planted."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from wxrc_core import bot, message
from wxrc_core.delivery_order import DeliveryQueue
from wxrc_core.delivery_order import Item as DeliveryItem
from wxrc_core.delivery_queue import DeliveriesSnapshot, DeliveryQueues
from wxrc_core.log import Recorded
from wxrc_core.message import Message, MessageEvent
from wxrc_core.message_queue import MessageQueue
from wxrc_core.pace import PaceLedger
from wxrc_core.testing.machines import BotMachine, DeliveryMachine, MessageMachine

EXAMPLES = int(os.environ.get("WXRC_EXAMPLES", "60"))

MACHINES: list[type[RuleBasedStateMachine]] = [BotMachine, MessageMachine, DeliveryMachine]
SEARCH = settings(
    deadline=None, stateful_step_count=40, suppress_health_check=list(HealthCheck), database=None, print_blob=False
)


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_the_core_holds(machine: type[RuleBasedStateMachine]) -> None:
    """Any order of steps, crashes and restarts from snapshots among them, keeps what the machine checks."""
    run_state_machine_as_test(machine, settings=settings(SEARCH, max_examples=EXAMPLES))


def _read_as_not_sent(state: Message, at: int, detail: str, *, resend: bool) -> tuple[MessageEvent, ...]:
    return (message.MessageRequeued(at=at, detail=detail, not_before=at),)


def _listen_to_any_client(the_bot: bot.Bot, command: bot.Command) -> bot.BotEvent | None:
    if isinstance(command, bot.TakeReport):
        return bot._reported(the_bot, command.report, command.code_id)
    return _NEXT_EVENT(the_bot, command)


def _restore_without_expected(self: DeliveryQueues, snapshot: DeliveriesSnapshot, mono: int) -> None:
    _RESTORE(self, DeliveriesSnapshot(snapshot.due, []), mono)


def _put_newest_first(self: DeliveryQueue, cause: int, item: DeliveryItem) -> None:
    _PUT(self, cause, item)
    if not item.state.attempts:
        self.untried.set(cause, -cause)


def _newest_of_conversation(self: MessageQueue, name: str) -> Any:
    found = [(item.msgid, stream, item) for stream, item in self._items.items() if item.conversation == name]
    return max(found)[1:] if found else None


_NEXT_EVENT, _RESTORE, _PUT = bot._next_event, DeliveryQueues.restore, DeliveryQueue.put

FAULTS: dict[str, tuple[Any, str, Any, type[RuleBasedStateMachine]]] = {
    "what is in doubt is sent again": (message, "_doubt", _read_as_not_sent, MessageMachine),
    "an attempt that is over counts": (message, "_is_open", lambda state, attempt: True, MessageMachine),
    "another account sends it": (MessageQueue, "_of_other_account", lambda self, wxid: (), MessageMachine),
    "the pace is not kept": (PaceLedger, "switch_at", lambda self, limits: 0, MessageMachine),
    "no last look": (MessageQueue, "last_look", lambda self, *arguments: "", MessageMachine),
    "the newest message of a conversation goes first": (MessageQueue, "_head", _newest_of_conversation, MessageMachine),
    "a client that is gone is listened to": (bot, "_next_event", _listen_to_any_client, BotMachine),
    "an operation is forgotten": (bot, "_carried_out", lambda the_bot, command: None, BotMachine),
    "later callbacks go first": (DeliveryQueue, "put", _put_newest_first, DeliveryMachine),
    "a snapshot lacks what is not recorded yet": (
        DeliveryQueues,
        "restore",
        _restore_without_expected,
        DeliveryMachine,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one rule of the core replaced, the machine fails."""
    owner, name, replacement, machine = FAULTS[fault]
    monkeypatch.setattr(owner, name, replacement)

    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the machine runs into first
        run_state_machine_as_test(
            machine, settings=settings(SEARCH, max_examples=1_500, phases=[Phase.generate], report_multiple_bugs=False)
        )


def test_hooks_are_called() -> None:
    """A subclass hears of every event once, in order, is told of restarts, and is asked to check after each step."""
    calls = dict.fromkeys(["happened", "restarted", "check", "finish"], 0)

    class Following(BotMachine):
        def __init__(self) -> None:
            super().__init__()
            self.positions: list[int] = []

        def happened(self, recorded: Recorded) -> None:
            calls["happened"] += 1
            self.positions.append(recorded.position)

        def restarted(self) -> None:
            calls["restarted"] += 1
            self.positions = [recorded.position for recorded in self.story.log]

        def check(self) -> None:
            super().check()
            calls["check"] += 1

            assert self.positions == [recorded.position for recorded in self.story.log]

        def finish(self) -> None:
            super().finish()
            calls["finish"] += 1

    run_state_machine_as_test(Following, settings=settings(SEARCH, max_examples=20))

    assert all(calls.values()), calls
