"""Hypothesis state machines that drive the core in every order of steps, crashes among them; subclass them to test a flow of your own.

    class MyMachine(BotMachine):
        def happened(self, recorded):
            self.flow.take(recorded)         # your own code follows the log

        def restarted(self):
            self.flow = MyFlow.replay(self.story.log)

        def check(self):
            assert self.flow.waits_for_a_scan == (self.story.bot().phase == "code_shown")


    TestMyFlow = MyMachine.TestCase

- `BotMachine`: one bot; operations are asked for and carried out, its client reports anything, its owner is replaced.
- `MessageMachine`: messages of one bot, up to a WeChat of its own which knows what arrived.
- `DeliveryMachine`: callbacks to one channel, up to a receiver of its own which knows what it got.

Each checks after every step that what happened can be read back and folds to what the running process has, and in the end all the
promises that a log can show (`wxrc_core.testing.promises`), and that whatever was begun comes to its end.
"""

from wxrc_core.testing.machines._bot import BotMachine as BotMachine
from wxrc_core.testing.machines._delivery import DeliveryMachine as DeliveryMachine
from wxrc_core.testing.machines._message import MessageMachine as MessageMachine
from wxrc_core.testing.machines._story import StoryMachine as StoryMachine
