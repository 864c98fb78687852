"""What may go wrong, and what operators may change, by name; and how likely each is."""

TOPICS = ("客服一群", "客服二群", "Ops 🚨", "老板群")

RATES: dict[str, float] = {
    # per try of a request
    "request lost": 0.2,
    "answer lost": 0.3,
    # per append, read and call of the vault, of each replica
    "append refused": 0.05,
    "append unknown": 0.05,
    "append slow": 0.05,
    "read fails": 0.03,
    "read slow": 0.05,
    "vault fails": 0.1,
    "heartbeat fails": 0.2,
    "follower lags": 0.1,
    # per run of a client
    "client cannot start": 0.3,
    "client raises": 0.2,
    "login refused": 0.2,
    "digits wanted": 0.5,
    "not scanned": 0.3,
    "another account": 0.3,
    "rooms come late": 0.5,
    "rooms incomplete": 0.3,
    "nonsense report": 0.2,
    "link drops": 0.4,
    # per hand-over
    "not connected": 0.2,
    "refused for now": 0.3,
    "refused": 0.1,
    "rejected": 0.1,
    "lost on the way": 0.15,
    "no answer": 0.2,
    "hangs": 0.1,
    "no receipt": 0.15,
    "nonsense outcome": 0.15,
    "raises": 0.15,
    "late receipt": 0.8,
    # per image that is fetched, per call of the media
    "image slow": 0.3,
    "image server fails": 0.4,
    "media fail": 0.2,
    # per person who types digits
    "wrong digits": 0.6,
    # per inbound message
    "told twice": 0.5,
}
"""Every kind of fault that strikes by chance, and how likely it is where it is worst."""

MOODS = (
    "slow",
    "error",
    "refuses",
    "garbage",
    "unacknowledged",
    "retry later",
    "drip",
    "gone",
    "closes",
    "redirect",
    "silent",
)
"""How a receiver may fail."""


STRIKES = ("crash", "pause", "step", "cut off", "leave", "stall", "deaf", "freeze")
"""What may happen to a replica. `stall`: what it writes next arrives long after its sender was cut off; `deaf`: its heartbeats fail;
`freeze`: its heartbeats fail, and it is paused over the end of its membership while one of its claims is being written."""


AT_THE_DOOR = (
    "rotate key", "end key", "rotate secret", "end secret", "revoke", "suspend", "resume", "quota", "no quota", "remove",
)  # fmt: skip
"""What an operator may change of a channel."""

ABOUT_BOTS = ("remove bot", "pace")
"""What an operator may change of a bot, and of a grant's own pace."""

HAPPENINGS = (
    "kick", "drop", "rename", "rename", "dissolve", "found", "speak", "speak", "speak", "sign out", "unfriend", "remark",
)  # fmt: skip
"""What may happen in WeChat, each as often as it stands here is likely."""

OPERATIONS = (
    "grant", "channel", "move", "move", "cancel", "resend", "confirm", "fail", "bot", "retry", "replay", "replay",
)  # fmt: skip
"""What an operator may do besides, each as often as it stands here is likely."""
