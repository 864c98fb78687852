"""A channel's life: rotation, grants taken back, settings, suspension, removal, and what removal does to what is open."""

import pytest

from wxrc_core import channel, codec, message, snapshot
from wxrc_core.channel import (
    BotGranted,
    BotRevoked,
    CallbackMoved,
    Change,
    Channel,
    ChannelAdded,
    ChannelRemoved,
    ChannelResumed,
    ChannelSuspended,
    KeyAdded,
    KeyEnded,
    SecretAdded,
    SecretEnded,
    SettingsChanged,
)
from wxrc_core.delivery import Delivery, DeliveryState
from wxrc_core.effects import Post
from wxrc_core.errors import NotFound, Refusal
from wxrc_core.message import MessageState
from wxrc_core.puppet import NotConnected, ReportLoggedOut, ReportMessage
from wxrc_core.testing.story import BOTCODE, CHID, Story, stream

ADDED = ChannelAdded(at=1, chid="crm", key_id="k1", webhook_secret_id="s1", callback_url="https://crm.example/")


def given(*changes: Change) -> Channel:
    """Return the channel after these changes."""
    state = channel.evolve(None, ADDED)
    for change in changes:
        state = channel.evolve(state, change)
    return state


def when(state: Channel, *changes: Change) -> tuple[object, ...]:
    """Return what is recorded because of these changes."""
    return channel.decide(state, channel.Alter(changes))


CHANGES: list[Change] = [
    BotGranted(at=2, botcode="zhao", by="li"),
    CallbackMoved(at=2, callback_url="https://else.example/", by="li"),
    SettingsChanged(at=2, window_s=60, by="li"),
    KeyAdded(at=2, key_id="k2", by="li"),
    SecretAdded(at=2, secret_id="s2", by="li"),
    ChannelSuspended(at=2, reason="why", by="li"),
    ChannelRemoved(at=2, by="li"),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: type(change).__name__)
def test_a_change_is_recorded_once(change: Change) -> None:
    """Each change is recorded as it was asked for; the same again is no news."""
    state = given()

    assert (change,) == when(state, change)
    assert () == when(channel.evolve(state, change), change)


@pytest.mark.parametrize(
    ("before", "change"),
    [
        (BotGranted(at=2, botcode="zhao"), BotRevoked(at=3, botcode="zhao")),
        (KeyAdded(at=2, key_id="k2"), KeyEnded(at=3, key_id="k1")),
        (SecretAdded(at=2, secret_id="s2"), SecretEnded(at=3, secret_id="s1")),
        (ChannelSuspended(at=2), ChannelResumed(at=3)),
    ],
)
def test_a_change_is_taken_back_once(before: Change, change: Change) -> None:
    """What ends something is recorded where there is something to end, once."""
    state = given(before)

    assert (change,) == when(state, change)
    assert () == when(channel.evolve(state, change), change)


def test_a_key_is_rotated_with_both_valid_in_between() -> None:
    """The old and the new KEY are valid together, the newest first, until one is ended."""
    both = given(KeyAdded(at=2, key_id="k2"))
    after = channel.evolve(both, KeyEnded(at=3, key_id="k1"))

    assert ("k2", "k1") == both.key_ids
    assert ("k2",) == after.key_ids


def test_no_third_key_and_never_none() -> None:
    """Two KEYs and two secrets are the most, and the last of either cannot be ended; the sentence names the ids and what to do."""
    both = given(KeyAdded(at=2, key_id="k2"), SecretAdded(at=2, secret_id="s2"))
    with pytest.raises(Refusal, match=r"two valid KEYs \(k2, k1\); end one of them first"):
        when(both, KeyAdded(at=3, key_id="k3"))
    with pytest.raises(Refusal, match=r"two valid webhook secrets \(s2, s1\)"):
        when(both, SecretAdded(at=3, secret_id="s3"))
    with pytest.raises(Refusal, match="'k1' is the only valid one"):
        when(given(), KeyEnded(at=3, key_id="k1"))
    with pytest.raises(Refusal, match="'s1' is the only valid one"):
        when(given(), SecretEnded(at=3, secret_id="s1"))


def test_of_several_changes_all_or_none() -> None:
    """Changes that come together are recorded together; where one is refused, none is."""
    moved = CallbackMoved(at=2, callback_url="https://else.example/")
    same = SettingsChanged(at=2, window_s=300)

    assert (moved,) == when(given(), moved, same)
    with pytest.raises(Refusal):
        when(given(), moved, KeyEnded(at=2, key_id="k1"))


def test_a_setting_that_is_not_named_stays() -> None:
    """A change of settings leaves the others as they are."""
    state = given(
        SettingsChanged(at=2, allowed_addresses=("10.0.0.0/8",)), SettingsChanged(at=3, requests_per_minute=60)
    )

    assert (("10.0.0.0/8",), 60, 300) == (
        state.settings.allowed_addresses,
        state.settings.requests_per_minute,
        state.settings.window_s,
    )


def test_a_removed_channel_stays_removed() -> None:
    """It has no grants, KEYs or callback, and takes no change any more; its name cannot be used again."""
    state = given(BotGranted(at=2, botcode="zhao"), ChannelRemoved(at=3))

    assert (True, (), (), {}, "") == (
        state.removed,
        state.key_ids,
        state.webhook_secret_ids,
        state.grants,
        state.settings.callback_url,
    )
    for change in CHANGES[:-1]:
        with pytest.raises(Refusal, match="was removed"):
            when(state, change)
    with pytest.raises(Refusal, match="choose another chid"):
        channel.decide(state, channel.Add(ADDED))


def test_nothing_is_changed_where_there_is_no_channel() -> None:
    """A change of a channel that was never made is refused."""
    with pytest.raises(NotFound, match="add it first"):
        channel.decide(None, channel.Alter((ChannelSuspended(at=1),)))


def test_a_sentence_is_there_in_both_languages() -> None:
    """A refusal carries the same sentence in Chinese and in English."""
    with pytest.raises(Refusal) as refused:
        when(given(), KeyEnded(at=3, key_id="k1"))

    assert str(refused.value) == refused.value.localized.en
    assert "唯一有效的KEY" in refused.value.localized.zh


def test_events_of_earlier_releases_are_read() -> None:
    """A channel and a grant that were written before there were quotas, interfaces and `by` are read with their defaults."""
    added = codec.decode(
        "channel.added", 1, b'{"at":1,"chid":"crm","key_id":"k1","webhook_secret_id":"s1","signature_types":["MD5"]}'
    )
    granted = codec.decode("channel.bot_granted", 1, b'{"at":1,"botcode":"zhao"}')

    assert ("", 0, (), ("MD5",)) == (
        added.by,
        added.requests_per_minute,
        added.allowed_addresses,
        added.signature_types,
    )
    assert ("", (), "receipt") == (granted.by, granted.interfaces, granted.least_evidence)


# -- what it does to what is open -----------------------------------------------------------------------------------------------


def write(told: Story, name: str) -> None:
    """Have a person write to the bot."""
    told.report(ReportMessage(at=told.wall, message_id=name, kind="text", text=name, from_id="w1"))


def told_of(told: Story) -> list[str]:
    """Return how every delivery stands."""
    states = [told.state(name) for name in {each.stream for each in told.log if each.stream.startswith("delivery/")}]
    return sorted(str(state.state) for state in states if isinstance(state, Delivery))


def test_a_revoked_channel_is_told_no_more() -> None:
    """After a grant is taken back the channel hears nothing new of the bot; what it queued goes on, and it hears of its end."""
    told = Story.with_bot()
    told.queue("t1")
    told.alter(BotRevoked(at=told.wall, botcode=BOTCODE))
    told.log_in()
    told.settle()
    before = told_of(told)
    told.send()
    told.settle()

    assert [] == before
    assert MessageState.SENT is told.message("t1").state
    assert ["due"] == told_of(told)


def test_removal_cancels_what_is_queued() -> None:
    """Queued messages of the channel end as cancelled; those of others stay."""
    told = Story.with_bot()
    told.add_channel("other")
    told.grant("other")
    told.queue("t1")
    told.queue("t2", chid="other")
    told.alter(ChannelRemoved(at=told.wall))
    told.settle()

    assert MessageState.CANCELLED is told.message("t1").state
    assert MessageState.QUEUED is told.message("t2", "other").state


def test_a_message_that_comes_back_after_removal_is_cancelled() -> None:
    """One that was being sent when its channel was removed, and was not handed over, does not wait for ever."""
    told = Story.with_bot()
    told.log_in()
    told.settle()
    told.queue("t1")
    claim = told.claim()
    told.alter(ChannelRemoved(at=told.wall))
    told.settle()
    during = told.message("t1").state
    told.end(claim, NotConnected("gone"))
    told.settle()

    assert MessageState.ATTEMPTED is during
    assert MessageState.CANCELLED is told.message("t1").state


def test_a_message_that_was_accepted_while_the_channel_was_removed_is_cancelled() -> None:
    """A replica that has not folded the removal yet may still accept; that message is cancelled too."""
    told = Story.with_bot()
    told.alter(ChannelRemoved(at=told.wall))
    told.queue("late")
    told.settle()

    assert MessageState.CANCELLED is told.message("late").state


def test_removal_cancels_callbacks() -> None:
    """What is due ends as cancelled, what follows from earlier events too, and none of it is posted; nothing new is due."""
    told = Story.with_bot()
    told.log_in()
    told.settle()
    write(told, "m1")
    told.settle()
    write(told, "m2")
    told.alter(ChannelRemoved(at=told.wall))
    posts = [told.next_post(control=control) for control in (True, False)]
    told.settle()
    write(told, "m3")
    told.settle()

    assert not any(isinstance(post, Post) for post in posts)
    assert {"cancelled"} == set(told_of(told))
    assert 0 == told.world.deliveries


def test_a_callback_that_is_on_its_way_ends_as_it_ends() -> None:
    """A callback that was being posted when its channel was removed is delivered if it was acknowledged, and cancelled if not."""
    told = Story.with_bot()
    told.log_in()
    told.settle()
    write(told, "m1")
    told.settle()
    control, data = told.begin_post(control=True), told.begin_post()
    told.alter(ChannelRemoved(at=told.wall))
    told.settle()
    told.acknowledge(control)
    told.miss(data, "HTTP 500")
    told.settle()

    assert DeliveryState.DELIVERED is told.state(control.stream).state  # type: ignore[union-attr]
    assert DeliveryState.CANCELLED is told.state(data.stream).state  # type: ignore[union-attr]


@pytest.mark.parametrize("kept", [False, True])
def test_removal_is_finished_after_a_crash(kept: bool) -> None:
    """What the owner had not cancelled when it crashed, the next one cancels, from the log or from a snapshot."""
    told = Story.with_bot()
    told.log_in()
    told.settle()
    told.report(ReportLoggedOut(at=told.wall, reason="kicked"))
    told.queue("t1")
    told.settle()
    write(told, "m1")
    told.settle()
    told.alter(ChannelRemoved(at=told.wall))
    again = told.restarted(snapshot=snapshot.encode(told.world) if kept else None)
    again.settle()

    assert MessageState.CANCELLED is again.message("t1").state
    assert "due" not in told_of(again)


def test_a_suspended_channel_is_still_told() -> None:
    """Suspension refuses requests at the door; callbacks go on."""
    told = Story.with_bot()
    told.alter(ChannelSuspended(at=told.wall))
    told.log_in()
    told.settle()
    write(told, "m1")
    told.settle()

    assert isinstance(told.next_post(), Post)
    assert CHID in told.world.view.channels
    assert stream("t1") not in told.world.messages
    assert message.MessageCancelled not in {type(each.event) for each in told.log}
