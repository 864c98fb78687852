"""Callbacks to one channel in every order of notices, answers, waits and crashes, up to a receiver that knows what it got."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from wxrc_core import delivery
from wxrc_core.delivery import DeliveryDue, DeliveryState
from wxrc_core.effects import Post, Wait
from wxrc_core.puppet import ReportLoggedIn, ReportLoggedOut, ReportMessage, ReportQrCode
from wxrc_core.testing.machines._story import StoryMachine
from wxrc_core.testing.story import CHID

CONTROL = ("qrCode", "botStatus")
ROUNDS = 500
ANSWERS = ["ok", "ok", "HTTP 500", "busy", "gone"]


class DeliveryMachine(StoryMachine):
    """Callbacks about one bot to one channel, and a receiver which knows what it got.

    Attributes:
        received: What reached the receiver: streams in order, one that came again as well.
        acknowledged: The streams that it acknowledged.
        flying: The callback that is under way in each queue (`True`: control notices).
    """

    def __init__(self) -> None:
        super().__init__()
        self.received: list[str] = []
        self.acknowledged: set[str] = set()
        self.flying: dict[bool, Post] = {}
        self._notices = 0

    # -- hooks ------------------------------------------------------------------------------------------------------------------

    def answers(self) -> st.SearchStrategy[str]:
        """Return how the receiver may answer: `ok`, `busy` (Retry-After: 60), `gone` (410), or any other failure by its name."""
        return st.sampled_from(ANSWERS)

    # -- rules: what channels are told ------------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 4))
    def write(self, count: int) -> None:
        """Have a person write to the bot."""
        for _ in range(count):
            self._notices += 1
            name = f"m{self._notices}"
            self.story.report(ReportMessage(at=self.story.wall, message_id=name, kind="text", text=name, from_id="w1"))

    @rule()
    def change_status(self) -> None:
        """Have the bot log in, or be kicked."""
        self.story.settle()
        now = self.story.wall
        if not self.story.bot().running:
            self.story.operate("login", f"login-{len(self.story.log)}")
            self.story.settle()
        elif self.story.bot().link:
            self.story.report(ReportLoggedOut(at=now, reason="kicked"))
        else:
            self.story.report(ReportLoggedIn(at=now, wxid="wxid_b", name="Bot"))

    @rule()
    def show_code(self) -> None:
        """Have the client show a new QR code, if it is waiting for a scan."""
        self._notices += 1
        now = self.story.wall
        self.story.report(ReportQrCode(at=now, text=f"code-{self._notices}", expires_at=now + 120_000))

    @rule()
    def move_callback(self) -> None:
        """Have the channel's callbacks go elsewhere."""
        self.story.move_callback(f"https://{len(self.story.log)}.example/")

    # -- rules: what the owner does ---------------------------------------------------------------------------------------------

    @rule()
    def settle(self) -> None:
        """Have the owner record what is to be recorded, to the end."""
        self.story.settle()

    @rule(data=st.data(), control=st.booleans(), count=st.integers(1, 4))
    def post(self, data: st.DataObject, control: bool, count: int) -> None:
        """Post what is next in a queue, to the receiver's answer; wait where there is one that has to wait."""
        for _ in range(count):
            self.story.settle()
            step = self.story.next_post(control=control)
            if isinstance(step, Wait):
                self.story.wait(step.ms)
            self.begin_post(control=control)
            if control in self.flying:
                self._end(control, data.draw(self.answers(), label="answer"))

    @rule(control=st.booleans())
    def begin_post(self, control: bool) -> None:
        """Post the callback that is next in a queue, if there is one and none of it is under way; it reaches the receiver."""
        step = self.story.next_post(control=control)
        if control not in self.flying and isinstance(step, Post):
            self._begin(step, control)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def end_post(self, data: st.DataObject) -> None:
        """Have the receiver answer."""
        control = data.draw(st.sampled_from(sorted(self.flying)), label="control")
        self._end(control, data.draw(self.answers(), label="answer"))

    @precondition(lambda self: self.flying)
    @rule(control=st.booleans())
    def lose_answer(self, control: bool) -> None:
        """Lose the receiver's answer on its way: it counts as a failure, and the callback comes again."""
        post = self.flying.pop(control, None)
        if post is not None:
            self.story.miss(post, "no answer")

    # -- checks -----------------------------------------------------------------------------------------------------------------

    def abandoned(self) -> None:
        """Forget what is under way."""
        self.flying.clear()

    def check(self) -> None:
        """Check that `delivered` is said only of what the receiver acknowledged."""
        for name in set(self.received):
            state = self.story.state(name)
            assert isinstance(state, delivery.Delivery)
            if state.state is DeliveryState.DELIVERED:
                assert name in self.acknowledged, f"{name} is called delivered and was not acknowledged"

    def finish(self) -> None:
        """Let the receiver acknowledge everything until nothing is left (promise 12)."""
        for control in list(self.flying):
            self._end(control, "ok")
        idle = 0
        for _ in range(ROUNDS):
            self.story.settle()
            waits = []
            for control in (True, False):
                step = self.story.next_post(control=control)
                if isinstance(step, Post):
                    self._begin(step, control)
                    self._end(control, "ok")
                    waits.append(0)
                elif isinstance(step, Wait):
                    waits.append(step.ms)
            if not waits:
                break
            # A queue asks to be looked at again long before something in it is due.
            idle = idle + 1 if min(waits) else 0
            self.story.wait(min(waits) << min(idle, 12))

        assert not self.story.world.delivery_bots, f"still open: {sorted(self.story.world.delivery_bots)} (promise 12)"

    # -- steps ------------------------------------------------------------------------------------------------------------------

    def _begin(self, post: Post, control: bool) -> None:
        begun = self.story.begin_post(control=control)
        assert begun == post
        due = self.story.log[post.position - 1].event
        assert isinstance(due, DeliveryDue)
        assert control == (due.kind in CONTROL), "control notices and data share a queue"
        assert post.body in (None, due.body), "the body of a callback changed"
        if post.stream not in self.received:
            self._check_order(post.stream, control)
        self.received.append(post.stream)
        self.flying[control] = post

    def _check_order(self, stream: str, control: bool) -> None:
        """Check that everything before it in its queue was posted at least once, or has ended."""
        cause = _cause(stream)
        for name in self.story.world.delivery_bots:
            first = self.story.history(name)[0].event
            same = isinstance(first, DeliveryDue) and control == (first.kind in CONTROL)
            overtaken = same and _cause(name) < cause and name not in self.received
            assert not overtaken, f"{stream} overtook {name}"

    def _end(self, control: bool, answer: str) -> None:
        post = self.flying.pop(control)
        if answer == "ok":
            self.acknowledged.add(post.stream)
            self.story.acknowledge(post)
        else:
            self.story.miss(post, answer, gone=answer == "gone", retry_after_s=60 if answer == "busy" else None)


def _cause(stream: str) -> int:
    """Return the position of the event that caused a delivery."""
    return int(stream.removesuffix(f"_{CHID}").rpartition("_")[2])
