"""What the machines share: a story, time, crashes, hooks, and the checks after each step and at the end."""

import sys

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wxrc_core import codec, snapshot
from wxrc_core.log import Recorded
from wxrc_core.testing.promises import check_log
from wxrc_core.testing.story import Story
from wxrc_core.world import World


class StoryMachine(RuleBasedStateMachine):
    """A story that Hypothesis tells.

    Attributes:
        story: The log, the world and the clocks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.story = self.begin()
        self._followed = 0
        self._snapshot: bytes | None = None

    # -- hooks ------------------------------------------------------------------------------------------------------------------

    def begin(self) -> Story:
        """Return the beginning: by default a bot, and a channel that may use it."""
        return Story.with_bot()

    def happened(self, recorded: Recorded) -> None:
        """Follow the log: called for each event, in position order, after the step that recorded it."""

    def restarted(self) -> None:
        """Make your own state anew from `self.story.log`: the process has crashed and is there again."""

    def check(self) -> None:
        """Check your own invariants; called after each step."""

    def finish(self) -> None:
        """Let everything that was begun come to its end; called once, before the last checks."""

    # -- rules and checks -------------------------------------------------------------------------------------------------------

    @rule(ms=st.sampled_from([1, 200, 1_000, 5_000, 61_000, 600_000]))
    def time_passes(self, ms: int) -> None:
        """Let time pass."""
        self.story.wait(ms)

    @rule(ms=st.sampled_from([-3_600_000, -1_000, 1_000, 3_600_000]))
    def wall_clock_is_set(self, ms: int) -> None:
        """Set the wall clock, forward or back; the other clock goes on."""
        self.story.wall = max(0, self.story.wall + ms)

    @rule()
    def take_snapshot(self) -> None:
        """Keep a snapshot, for the next start."""
        self._snapshot = snapshot.encode(self.story.world)

    @rule()
    def crash(self) -> None:
        """Crash and start again, from a snapshot where there is one; compare with the fold of the whole log. A new owner takes over."""
        self._follow()
        again = self.story.restarted(own=False)
        _compare(again, self.story.world, "the process knew what the log does not say (promise 13)")
        if self._snapshot is not None:
            shorter = self.story.restarted(own=False, snapshot=self._snapshot)
            _compare(again, shorter.world, "a snapshot and the tail give something else (promise 19)")
            again = shorter
        self.story = again
        self.abandoned()
        for botcode in list(again.world.view.bots):
            again.take_over(botcode)
        self._followed = len(again.log)
        self.restarted()

    def abandoned(self) -> None:
        """Forget what only the process knew that has crashed."""

    @invariant()
    def _holds(self) -> None:
        self._follow()
        self.check()

    def _follow(self) -> None:
        while self._followed < len(self.story.log):
            recorded = self.story.log[self._followed]
            self._followed += 1
            assert recorded.event == codec.decode(*codec.encode(recorded.event)), "not readable (promise 18)"
            self.happened(recorded)

    def teardown(self) -> None:
        """Finish, and check what a log can show; not where a check has failed already, which is what is to be told."""
        if sys.exc_info()[0] is not None:
            return
        self.finish()
        self._follow()
        self.check()
        broken = check_log(self.story.log)

        assert not broken, broken


def _compare(folded: Story, world: World, sentence: str) -> None:
    difference = snapshot.difference(folded.world, snapshot.encode(world))

    assert not difference, f"{sentence}: {difference}"
