"""Everything that the core raises, and the one error that adapters raise for all of us."""

from wxrc_core.localized import LocalizedText


class WxrcError(Exception):
    """Base of all errors of WXRC. Its text is a sentence for people, without secrets.

    Attributes:
        localized: The sentence in both languages; where it is known in one only, that one stands in both places.
    """

    def __init__(self, text: str | LocalizedText = "") -> None:
        self.localized = text if isinstance(text, LocalizedText) else LocalizedText(text, text)
        super().__init__(self.localized.en)


class Refusal(WxrcError):
    """A command was refused; state and log are as they were. Tell the caller; repeating it does not help."""


class IllegalTransition(Refusal):
    """The event is not possible in this state (the table at the head of the aggregate's file says which are).

    Attributes:
        state: The state in which the aggregate is, and stays.
        trigger: The event that is not possible there.
    """

    def __init__(self, aggregate: str, state: str, trigger: str) -> None:
        text = LocalizedText(
            "{aggregate} 的状态是 '{state}'，不能 '{trigger}'",
            "a {aggregate} in state '{state}' cannot take '{trigger}'",
        )
        super().__init__(text.filled(aggregate=aggregate, state=state, trigger=trigger))
        self.state = state
        self.trigger = trigger


class TxcodeReused(Refusal):
    """The txcode was used today for something else (wire.md, code 12). Use a new txcode."""

    def __init__(self) -> None:
        super().__init__(
            LocalizedText(
                "txcode 当日已用于另一个不同的请求；每个新请求请用新的 txcode",
                "txcode was used today for a different request; take a new txcode for each new request",
            )
        )


class AlreadyTaken(Refusal):
    """The name is in use (wire.md, code 33). Choose another."""


class NotFound(Refusal):
    """There is nothing of that name. The text says what to do first."""


class InvalidValue(Refusal):
    """A value from outside has the wrong type or size, or cannot be written and read back. The text names the value and its field.

    Attributes:
        field: The field's name; empty where it is not known.
    """

    def __init__(self, text: str | LocalizedText = "", field: str = "") -> None:
        super().__init__(text)
        self.field = field


class Unavailable(WxrcError):
    """Something outside is unavailable now (store, disk). Nothing was promised; try again after a while."""
