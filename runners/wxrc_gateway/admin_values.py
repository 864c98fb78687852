"""What may be said about a channel, a grant, a secret: declared once, for the command line, the admin API and embedding programs alike."""

import ipaddress
import random
import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Any, TypedDict
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from msgspec import Meta

from wxrc_core.channel import CallbackFormat, Evidence, Inbound, OnDoubt, SignatureType
from wxrc_core.errors import InvalidValue
from wxrc_core.localized import LocalizedText
from wxrc_gateway._options import checked as checked
from wxrc_http import INTERFACES
from wxrc_webhook import CallbackUrlError, WebhookSecretError, check_url, networks, secret_bytes

SYSTEM_CHANCE: random.Random = secrets.SystemRandom()
"""The operating system's randomness, fit for secrets. Simulations pass a seeded source instead."""


def token_hex(chance: random.Random, count: int) -> str:
    """Return so many random bytes as hexadecimal digits."""
    return chance.randbytes(count).hex()


Networks = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(max_length=100)]
Name = Annotated[str, Meta(max_length=256)]


class ChannelSettings(TypedDict, total=False):
    """What a channel may be set to; the fields are those of `wxrc_core.channel.ChannelAdded`."""

    callback_url: Annotated[str, Meta(max_length=2_000)]
    callback_format: CallbackFormat
    allow_private: bool
    private_networks: Networks
    signature_types: Annotated[tuple[SignatureType, ...], Meta(min_length=1, max_length=8)]
    rsa_public_key: Annotated[str, Meta(max_length=10_000)]
    allowed_addresses: Networks
    timezone: Annotated[str, Meta(min_length=1, max_length=64)]
    window_s: Annotated[int, Meta(ge=10, le=86_400)]
    requests_per_minute: Annotated[int, Meta(ge=0, le=1_000_000)]
    burst: Annotated[int, Meta(ge=0, le=1_000_000)]


class GrantTerms(TypedDict, total=False):
    """On what terms a channel may use a bot; the fields are those of `wxrc_core.channel.BotGranted`."""

    room_id: Name
    room_topic: Name
    on_doubt: OnDoubt
    inbound: Inbound
    interfaces: Annotated[tuple[str, ...], Meta(max_length=100)]
    least_evidence: Evidence
    pace: Annotated[int, Meta(ge=0, le=60)]


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_NAME_RULE = LocalizedText(
    "{field} 应为 1 到 64 个字母、数字或 _ . @ -，以字母或数字开头；给出的是 {name}",
    "{field} must be 1 to 64 letters, digits or _ . @ -, beginning with a letter or digit; it is {name}",
)


def check_name(field: str, name: str) -> None:
    """Check the name of a channel, a bot or a token.

    Raises:
        InvalidValue: It cannot be one.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidValue(_NAME_RULE.filled(field=field, name=f"{name!r:.80}"), field)


# -- settings -------------------------------------------------------------------------------------------------------------------


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check all settings of a channel together, each of which has the right type.

    Raises:
        InvalidValue: One cannot be used, or not with another.
    """
    for field in ("private_networks", "allowed_addresses"):
        _check_networks(field, settings[field])
    if settings["callback_url"]:
        try:
            check_url(
                settings["callback_url"], settings["allow_private"] or networks(settings["private_networks"]) or False
            )
        except CallbackUrlError as error:
            raise InvalidValue(error.localized, "callback_url") from error
    _check_timezone(settings["timezone"])
    if settings["rsa_public_key"]:
        _check_rsa_key(settings["rsa_public_key"])
    elif "RSA" in settings["signature_types"]:
        text = LocalizedText(
            "signature_types 中有 RSA，但没有登记公钥；请同时给出 rsa_public_key",
            "signature_types has RSA and no public key is registered; give rsa_public_key with it",
        )
        raise InvalidValue(text, "rsa_public_key")
    if settings["burst"] and not settings["requests_per_minute"]:
        text = LocalizedText(
            "burst 需要与 requests_per_minute 一起使用；请同时给出每分钟请求数",
            "burst goes with requests_per_minute; give that too",
        )
        raise InvalidValue(text, "burst")


def _check_networks(field: str, texts: tuple[str, ...]) -> None:
    for text in texts:
        try:
            ipaddress.ip_network(text)
        except ValueError:
            rule = LocalizedText(
                "{field} 中的 {text} 不是地址或网段；应写成 203.0.113.7、10.0.0.0/8 或 2001:db8::/32，主机位为零",
                "{text} in {field} is neither an address nor a network; write it as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32, "
                "with no host bits set",
            )
            raise InvalidValue(rule.filled(field=field, text=repr(text)), field) from None


def _check_timezone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        pass
    else:
        return
    rule = LocalizedText(
        "timezone {name} 不是已知的时区；应写成 Asia/Shanghai 这样的名称",
        "timezone {name} is unknown; write a name as in Asia/Shanghai",
    )
    raise InvalidValue(rule.filled(name=repr(name)), "timezone")


def _check_rsa_key(pem: str) -> None:
    try:
        key = load_pem_public_key(pem.encode())
    except Exception:  # what it raises depends on what is wrong, and a private key must not be echoed
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < 2_048:
        rule = LocalizedText(
            "rsa_public_key 应为 PEM 格式的 RSA 公钥（-----BEGIN PUBLIC KEY-----），至少 2048 位；私钥请留在渠道自己手中",
            "rsa_public_key must be an RSA public key as PEM (-----BEGIN PUBLIC KEY-----) of 2048 bits or more; "
            "the private key stays with the channel",
        )
        raise InvalidValue(rule, "rsa_public_key")


def check_terms(terms: Mapping[str, Any]) -> None:
    """Check the terms of a grant together.

    Raises:
        InvalidValue: One cannot be used, or not with another.
    """
    if terms.get("room_id") and terms.get("room_topic"):
        text = LocalizedText(
            "默认群只能用 room_id 或 room_topic 之一指明",
            "name the default room by room_id or by room_topic, one of the two",
        )
        raise InvalidValue(text, "room_id")
    for name in terms.get("interfaces", ()):
        if name not in INTERFACES:
            rule = LocalizedText(
                "interfaces 中的 {name} 不是接口；可用的接口有：{names}",
                "{name} in interfaces is no interface; there are: {names}",
            )
            raise InvalidValue(rule.filled(name=repr(name), names=", ".join(INTERFACES)), "interfaces")


# -- secrets --------------------------------------------------------------------------------------------------------------------

SHORTEST_KEY, LONGEST_KEY = 16, 256
LEAST_CHARACTERS = 6
"""So many different characters a KEY has at least: a row of one letter is no secret."""

SAMPLES = frozenset(
    {"6f1d7a0c5b9e4e2f8a3c", "0a7f3c55d1e94b6f9d20", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}
)
"""The KEYs and secrets of our documents, tests and test vectors: everybody has them."""

_TELLTALE = re.compile(
    r"change.?me|example|sample|secret|password|your.?key|test.?key|0123456789|abcdefgh", re.IGNORECASE
)


def key_fault(key: str) -> LocalizedText | None:
    """Return why a KEY must not be used, or None. The sentence never has the KEY in it."""
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        rule = LocalizedText("KEY 应有 {least} 到 {most} 个字符", "a KEY must have {least} to {most} characters")
        return rule.filled(least=SHORTEST_KEY, most=LONGEST_KEY)
    if not key.isprintable() or " " in key:
        return LocalizedText(
            "KEY 不能含空格、换行或控制字符", "a KEY must not have spaces, line ends or control characters"
        )
    if key in SAMPLES or _TELLTALE.search(key) or len(set(key)) < LEAST_CHARACTERS:
        return LocalizedText(
            "KEY 是示例或容易猜到；请用随机生成的 KEY，不给出时由 WXRC 生成",
            "the KEY is a sample or easily guessed; use a random one, or give none and WXRC makes one",
        )
    return None


def secret_fault(secret: str) -> LocalizedText | None:
    """Return why a webhook secret must not be used, or None. The sentence never has the secret in it."""
    try:
        raw = secret_bytes(secret)
    except WebhookSecretError as error:
        return LocalizedText("回调密钥应为 whsec_ 加 24 到 64 个字节的 Base64 文本", str(error))
    if secret in SAMPLES or len(set(raw)) < LEAST_CHARACTERS:
        return LocalizedText(
            "回调密钥是示例或容易猜到；请用随机生成的密钥，不给出时由 WXRC 生成",
            "the webhook secret is a sample or easily guessed; use a random one, or give none and WXRC makes one",
        )
    return None


def check_key(key: str) -> None:
    """Refuse an empty, short or sample KEY. Raises InvalidValue."""
    if fault := key_fault(key):
        raise InvalidValue(fault, "key")


def check_webhook_secret(secret: str) -> None:
    """Refuse an empty, short or sample webhook secret. Raises InvalidValue."""
    if fault := secret_fault(secret):
        raise InvalidValue(fault, "webhook_secret")
