"""What must have happened at least once over many seeds: a simulation that never gets somewhere proves nothing there."""

from collections.abc import Iterable

from wxrc_core import bot, delivery, message
from wxrc_core.delivery import DeliveryDue
from wxrc_core.shard import ShardEvent, ShardFreed, ShardTaken
from wxrc_core.table import Table
from wxrc_simulation.records import Run
from wxrc_simulation.schedule import ABOUT_BOTS, AT_THE_DOOR, HAPPENINGS, MOODS, OPERATIONS, RATES, STRIKES

TABLES: dict[str, Table] = {"bot": bot.TABLE, "delivery": delivery.TABLE, "message": message.TABLE}  # type: ignore[type-arg]

UNREACHABLE = frozenset(
    {
        "delivery due -attempted-> due",  # only logs of earlier releases have it
        # Digits that were accepted in the moment before the login went on: too rare to be asked of 2,000 seeds.
        "bot login -digits_submitted-> login",
        "bot logout -digits_submitted-> logout",
    }
)
"""Steps that no run of this release makes, or hardly any."""

CODES = ("0", "10", "11", "12", "13", "20", "21", "22", "30", "31", "32", "34")
"""Codes of the wire that these requests can get (33 needs interfaces that are still to come)."""

STATUSES = (
    ("0", ""), ("1", ""), ("2", ""), ("-1", "failed"), ("-1", "rejected"), ("-1", "unconfirmed"), ("-1", "expired"), ("-1", "cancelled"),
    ("3", "rejected"), ("3", "failed"),
)  # fmt: skip
"""How a message may stand: sendStatus and sendReason."""

OPERATORS = (*OPERATIONS, *AT_THE_DOOR, *ABOUT_BOTS)

DOOR = ("13", "21", "22 429")
"""How a right request may be turned away because of what an operator has changed: code, and the HTTP status where it is not 200."""


def wanted() -> set[str]:
    """Return everything that must have happened."""
    steps = {
        f"{name} {source} -{table.triggers[event]}-> {after}"
        for name, table in TABLES.items()
        for event, row in table.next.items()
        for source, after in row.items()
    }
    return (
        (steps - UNREACHABLE)
        | {f"code {code}" for code in CODES}
        | {f"sendStatus {status} {reason}".strip() for status, reason in STATUSES}
        | {f"fault: {name}" for name in (*RATES, *STRIKES, *HAPPENINGS)}
        | {f"fault: receiver {mood}" for mood in MOODS}
        | {f"fault: operator {action}" for action in OPERATORS}
        | {f"turned away: {code}" for code in DOOR}
        | {f"arrived: {content} to {peer}" for content in ("text", "card", "image") for peer in ("room", "person")}
        | {f"callback as {name}" for name in ("form", "json", "bracket")}
        | {
            "takeover",
            "digits handed over",
            "a message cancelled by its channel",
            "an end told by answer",
            "an end told by callback",
            "a shard handed on",
            "replicas 1",
            "replicas 2",
            "replicas 3",
        }
    )


class Coverage:
    """What has happened."""

    def __init__(self, seen: Iterable[str] = ()) -> None:
        self.seen = set(seen)

    def add(self, run: Run) -> None:
        """Take in a run."""
        states: dict[str, str] = {}
        owners: dict[str, ShardEvent] = {}
        for recorded in run.log:
            event = recorded.event
            for name, table in TABLES.items():
                row = table.next.get(type(event))
                if row is None:
                    continue
                before = states.get(recorded.stream, "new")
                if before in row:
                    self.seen.add(f"{name} {before} -{table.triggers[type(event)]}-> {row[before]}")
                    states[recorded.stream] = str(row[before])
            if isinstance(event, ShardTaken | ShardFreed):
                before_it = owners.get(recorded.stream)
                owners[recorded.stream] = event
                if isinstance(event, ShardTaken) and before_it is not None and before_it.member != event.member:
                    self.seen.add("takeover" if isinstance(before_it, ShardTaken) else "a shard handed on")
            if isinstance(event, DeliveryDue) and event.kind == "sendStatus":
                self.seen.add("an end told by callback")
            elif isinstance(event, delivery.DeliveryAnswered):
                self.seen.add("an end told by answer")
        self.seen.add(f"replicas {len({call.replica.partition('.')[0] for call in run.calls}) or 1}")
        for call in run.calls:
            if call.rtcode:
                self.seen.add(f"code {call.rtcode}")
                if not call.odd:
                    self.seen.add(f"turned away: {call.rtcode}{f' {call.status}' if call.status != 200 else ''}")
            if call.send_status:
                self.seen.add(f"sendStatus {call.send_status} {call.send_reason}".strip())
        self.seen.update(f"callback as {received.format}" for received in run.received)
        for received in run.received:
            if received.body.get("type") == "sendStatus":
                self.seen.add(f"sendStatus {received.body['sendStatus']} {received.body['sendReason']}".strip())
        contents = {
            recorded.position: {"text": "text", "app": "card", "image": "image"}[message.content(recorded.event)]
            for recorded in run.log
            if isinstance(recorded.event, message.MessageQueued)
        }
        for arrival in run.arrivals:
            self.seen.add(f"arrived: {contents[arrival.msgid]} to {'person' if arrival.user_id else 'room'}")
        if run.digits:
            self.seen.add("digits handed over")
        if any(call.interface == "msgCancel" and call.rtcode == "0" for call in run.calls):
            self.seen.add("a message cancelled by its channel")
        self.seen.update(f"fault: {fault.kind}" for fault in run.faults)

    def merge(self, other: "Coverage") -> None:
        """Take in what others saw."""
        self.seen |= other.seen

    def missing(self) -> list[str]:
        """Return what never happened."""
        return sorted(wanted() - self.seen)
