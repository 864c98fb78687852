"""A bot that is removed: what its stream takes, what becomes of what is open, who is told, and that no log or snapshot is in its way."""

import json

import pytest

from wxrc_core import bot, channel, message, snapshot
from wxrc_core.bot import BotRemoved, BotState, SignedOut
from wxrc_core.effects import Claim, Decide, Post
from wxrc_core.errors import AlreadyTaken, NotFound
from wxrc_core.message import MessageState
from wxrc_core.puppet import Accepted, NotConnected, ReportLoggedIn, ReportReceipt, Unconfirmed
from wxrc_core.testing.story import BOTCODE, CHID, Story, stream

ADDED = bot.BotAdded(at=1, botcode="b", puppet="simulator")


def handed_over(story: Story) -> Claim:
    """Claim the message that is next, and hand it over; its outcome is still to come."""
    claim = story.claim()
    story.hand_over(claim)
    return claim


def removed(*events: bot.BotEvent) -> bot.Bot:
    """Return a bot that all this has happened to, and then its removal."""
    state = bot.evolve(None, ADDED)
    for event in (*events, BotRemoved(at=8, by="li")):
        state = bot.evolve(state, event)
    return state


LOGGED_IN = (bot.LoginRequested(at=2, operation=2), bot.LoggedIn(at=3, wxid="w", name="n"))
BEFORE: list[tuple[bot.BotEvent, ...]] = [
    (),
    LOGGED_IN[:1],
    LOGGED_IN,
    (*LOGGED_IN, bot.LinkLost(at=4, reason="gone")),
    (*LOGGED_IN, bot.LogoutRequested(at=4, operation=4)),
    (*LOGGED_IN, bot.StopRequested(at=4, operation=4)),
]


@pytest.mark.parametrize("before", BEFORE)
def test_a_bot_is_removed_once(before: tuple[bot.BotEvent, ...]) -> None:
    """Wherever it stands a bot can be removed, once; then its account is to be signed out, and that ends it."""
    state = bot.evolve(None, ADDED)
    for event in before:
        state = bot.evolve(state, event)
    happened = bot.decide(state, bot.Remove(at=8, by="li"))
    state = removed(*before)
    exit_done = bot.decide(state, bot.FinishExit(at=9, operation=state.operation, exit="remove"))
    gone = bot.evolve(state, SignedOut(at=9))

    assert (BotRemoved(at=8, by="li"),) == happened
    assert (BotState.REMOVED, "remove", False) == (state.state, state.pending_exit, state.running)
    assert () == bot.decide(state, bot.Remove(at=9, by="wang"))
    assert (SignedOut(at=9),) == exit_done
    assert (BotState.REMOVED, "") == (gone.state, gone.pending_exit)
    assert () == bot.decide(gone, bot.FinishExit(at=9, operation=state.operation, exit="remove"))


@pytest.mark.parametrize("wrong", ["logout", "stop"])
def test_an_exit_that_was_under_way_is_not_the_removal(wrong: bot.Exit) -> None:
    """A stop or logout that ends after the removal signs nobody out and deletes nothing: the removal is still to be done."""
    state = removed(*BEFORE[5])

    assert () == bot.decide(state, bot.FinishExit(at=9, operation=4, exit=wrong))


def test_a_removed_bot_takes_nothing() -> None:
    """Reports, operations and restarts change nothing any more; its name is refused by a sentence of its own."""
    state = removed(*LOGGED_IN)
    commands: list[bot.Command] = [
        bot.TakeReport(run=state.run, report=ReportLoggedIn(at=9, wxid="w", name="n")),
        bot.CarryOut(at=9, operation=50, kind="login"),
        bot.CarryOut(at=9, operation=51, kind="logout"),
        bot.RestartClient(at=9, run=state.run),
    ]

    assert [(), (), (), ()] == [bot.decide(state, command) for command in commands]
    with pytest.raises(AlreadyTaken, match="bot 'b' was removed, and its name cannot be used again"):
        bot.decide(state, bot.Add(ADDED))
    with pytest.raises(NotFound, match="there is no such bot"):
        bot.decide(None, bot.Remove(at=1))


def test_open_messages_end_truthfully() -> None:
    """What was never handed over ends as not sent, and says why; what may have arrived is unconfirmed; what is sent stays so."""
    story = Story.with_bot(on_doubt="leave").log_in()
    story.queue("sent")
    story.send(Accepted("r1"))
    story.queue("doubted", on_doubt="resend")
    story.send(Unconfirmed("no answer"))
    story.queue("doubt", room_id="r2")
    story.queue("waits")
    story.remove_bot()
    story.settle()
    late = story.message("waits")
    story.queue("late")
    story.settle()

    assert MessageState.SENT is story.message("sent").state
    assert ("-1", "failed") == message.send_status(late)
    assert "the bot was removed before it could be sent" == late.detail
    assert ("-1", "unconfirmed") == message.send_status(story.message("doubted"))
    assert ("-1", "failed") == message.send_status(story.message("late"))
    assert not story.own().queue.streams()


def test_a_hand_over_that_runs_ends_as_it_ends() -> None:
    """The outcome of a send that was under way is recorded; one that did not go is not tried again; an unknown one is in doubt."""
    story = Story.with_bot().log_in()
    for txcode, outcome in (("a", Accepted("r")), ("b", NotConnected("gone")), ("c", Unconfirmed("no answer"))):
        again = Story.with_bot().log_in()
        again.queue(txcode)
        claim = handed_over(again)
        again.remove_bot()
        again.end(claim, outcome)
        again.settle()
        story = again
        expected = {"a": ("1", ""), "b": ("-1", "failed"), "c": ("-1", "unconfirmed")}[txcode]

        assert expected == message.send_status(again.message(txcode))
    msgid = next(each.position for each in story.log if isinstance(each.event, message.MessageQueued))
    story.report(ReportReceipt(at=story.wall, msgid=msgid, receipt="late"))

    assert ("1", "") == message.send_status(story.message("c"))


def test_a_claim_is_not_handed_over_after_the_removal() -> None:
    """What was claimed before the removal was known is put back at the last look, and then ends as not sent."""
    story = Story.with_bot().log_in()
    story.queue("a")
    claim = story.claim()
    story.remove_bot()

    assert "the bot was removed" == story.hand_over(claim)
    story.settle()
    assert ("-1", "failed") == message.send_status(story.message("a"))


def test_channels_are_told_when_it_is_gone_and_lose_their_grants() -> None:
    """The channels that could use it are told `logout` and why once its account is signed out; then their grants end, late ones too."""
    story = Story.with_bot().log_in()
    story.settle()
    while isinstance(step := story.next_post(control=True), Post):
        story.post(control=True)
    story.operate("logout", "asked")
    story.remove_bot()
    story.settle()
    before = dict(story.own().channel(CHID).grants)  # type: ignore[union-attr]
    told_before = story.next_post(control=True)
    story.leave()
    story.settle()
    step = story.next_post(control=True)
    assert isinstance(step, Post)
    body = json.loads(step.body or "{}")
    ended = [each.event for each in story.log if isinstance(each.event, channel.BotRevoked)]
    story.grant()
    story.settle()

    assert {BOTCODE} == set(before)
    assert not isinstance(told_before, Post)
    assert ("logout", "the bot was removed") == (body["botStatus"], body["reason"])
    assert [("ops", BOTCODE)] == [(each.by, each.botcode) for each in ended]
    assert {} == story.own().channel(CHID).grants  # type: ignore[union-attr]
    assert {} == story.own().operations


def test_a_channel_and_its_bot_are_removed_together() -> None:
    """Messages of a channel that was removed too end once, as cancelled: no two steps are for the same stream."""
    story = Story.with_bot().log_in()
    story.queue("a")
    story.alter(channel.ChannelRemoved(at=story.wall))
    story.remove_bot()
    steps = story.to_record()
    story.settle()

    assert len(steps) == len({step.stream for step in steps})
    assert MessageState.CANCELLED is story.message("a").state


def test_a_new_owner_goes_on_with_a_removal() -> None:
    """After a crash the log alone says what is left to do: the client is to leave, messages are to end."""
    story = Story.with_bot().log_in()
    story.settle()
    story.queue("a")
    story.remove_bot()
    kept = snapshot.encode(story.world)
    for again in (story.restarted(), story.restarted(snapshot=kept)):
        wanted = again.own().wanted_client()
        steps = again.to_record()

        assert wanted is not None
        assert ("remove", True) == (wanted.pending_exit, wanted.removed)
        assert [stream("a")] == [step.stream for step in steps if isinstance(step, Decide)]
        assert "" == snapshot.difference(again.world, snapshot.encode(again.world))


def test_many_waiting_messages_end_in_portions() -> None:
    """However many wait, one append has a bounded number of them, and none is forgotten."""
    story = Story.with_bot().log_in()
    story.settle()
    for number in range(600):
        story.queue(f"t{number}")
    story.remove_bot()
    first = story.to_record()
    story.settle()

    assert 256 == len(first)
    assert not story.world.messages


def test_a_resend_by_hand_does_not_go_through_a_removed_bot() -> None:
    """A message in doubt stays in doubt where an operator has it resent by a bot that is gone: it is never called failed."""
    story = Story.with_bot().log_in()
    story.queue("a")
    story.send(Unconfirmed("no answer"))
    story.remove_bot()
    story.settle()
    story.world.recall(stream("a"), [each for each in story.log if each.stream == stream("a")])
    story.do(stream("a"), message.Resolve(at=story.wall, verdict="resend", by="ops"))
    story.settle()

    assert MessageState.IN_DOUBT is story.message("a").state
    assert "the bot was removed" in story.message("a").detail
