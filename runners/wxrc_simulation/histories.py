"""What clients asked and were answered, as a foreign judge sees it: are the answers those of one map from txcode to message?

The judge is `detangle`, a public checker for linearizability (Wing and Gong's search, with Lowe's memory of what was tried). It
knows nothing of the gateway: it is given a map of a dozen lines, and every client's calls with the time at which each began and
ended. A call whose answer was lost, or said "try again", may have taken effect at any moment since it began, or never.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import detangle.lin
from attrs import frozen

Answer: TypeAlias = int | Literal["reused", "missing", "unknown"]
"""The msgid (0 for an operation, which has none); the txcode stands for something else (code 12); there is no such message; or not
known.
"""


@frozen
class Asked:
    """One call of a client.

    Attributes:
        client: Who asked.
        key: What the txcode names: channel, day, txcode.
        content: All of the request that must be the same for a repetition; empty = it only asked for the message's state.
        invoked: When the call began. Any clock will do that all clients share.
        returned: When the answer came; None = it never did.
        answer: What it was.
    """

    client: str
    key: str
    content: str
    invoked: int
    returned: int | None
    answer: Answer


class TxcodeMap(detangle.lin.Model):
    """A map from txcode to (content, msgid): the first request makes the entry, the same one again finds it, any other is refused."""

    name = "txcode -> msgid"

    def init(self) -> None:
        """Return the state of a txcode that was never used."""
        return

    def step(self, state: tuple[str, int | None] | None, op: detangle.lin.Operation) -> tuple[bool, Any]:
        """Return whether the call may have had this outcome in this state, and the state after it."""
        content: str = op.arg
        answer: Answer = op.output if op.status == detangle.lin.OK else "unknown"
        if not content:
            if answer == "unknown":
                return True, state
            if answer == "missing":
                return state is None, state
            if state is None or not isinstance(answer, int):
                return False, state
            return state[1] in (None, answer), (state[0], answer)
        if state is None:
            # Whoever made it without being told the number leaves it open: the next one is told.
            return answer not in ("reused", "missing"), (content, answer if isinstance(answer, int) else None)
        if answer == "unknown":
            return True, state
        if answer == "reused":
            return state[0] != content, state
        if state[0] != content or not isinstance(answer, int):
            return False, state
        return state[1] in (None, answer), (content, answer)


def violations(history: Iterable[Asked]) -> Iterator[str]:
    """Give out what no order of the calls can explain, one sentence for each txcode; and msgids that stand for two requests."""
    by_key: dict[str, list[Asked]] = defaultdict(list)
    owners: dict[int, str] = {}
    for asked in history:
        by_key[asked.key].append(asked)
        if isinstance(asked.answer, int) and asked.answer:
            owner = owners.setdefault(asked.answer, asked.key)
            if owner != asked.key:
                yield f"msgid {asked.answer} was given for {owner} and for {asked.key}"
    model = TxcodeMap()
    for key, calls in by_key.items():
        result = detangle.lin.check(_operations(calls), model)
        if not result.ok:
            yield f"{key}: {result.explain()}"


def _settled(calls: Sequence[Asked]) -> list[Asked]:
    """Return the calls with those of unknown outcome taken together: the earliest of equal ones may take effect whenever any of
    them may.
    """
    kept: list[Asked] = []
    unknown: dict[str, None] = {}
    for asked in sorted(calls, key=lambda each: each.invoked):
        if asked.returned is None or asked.answer == "unknown":
            if not asked.content or asked.content in unknown:
                continue
            unknown[asked.content] = None
        kept.append(asked)
    return kept


def _operations(calls: Sequence[Asked]) -> list[detangle.lin.Operation]:
    # What returns in the moment in which another begins counts as done at the same time, not before.
    return [
        detangle.lin.Operation(
            index=number,
            process=asked.client,
            f="ask" if asked.content else "read",
            arg=asked.content,
            call=asked.invoked,
            call_time=float(asked.invoked),
            output=asked.answer,
            status=detangle.lin.INFO if asked.returned is None or asked.answer == "unknown" else detangle.lin.OK,
            ret=None if asked.returned is None or asked.answer == "unknown" else asked.returned,
        )
        for number, asked in enumerate(_settled(calls))
    ]
