"""The options that commands share, and where their values come from: the command line, `WXRC_*`, `wxrc.toml`, in this order."""

import functools
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from wxrc_service.data import DataDir
from wxrc_service.stores import has_password

CONFIG = "wxrc.toml"
SETTINGS: dict[str, type] = {
    "data": str, "store": str, "vault_key_file": str, "host": str, "port": int, "public_url": str, "answer_wait_ms": int,
    "simulator": bool, "simulator_host": str, "media_folder": str,
    "trusted_proxy": str,
}  # fmt: skip
"""What `wxrc.toml` may say, and of what type; `WXRC_DATA`, `WXRC_HOST`, ... and options come before it."""


def read_config(path: Path) -> dict[str, Any]:
    """Return what `wxrc.toml` says; empty where there is no such file, unless `WXRC_CONFIG` names it.

    Raises:
        click.ClickException: It cannot be read, or says something unknown.
    """
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if "WXRC_CONFIG" in os.environ:
            raise click.ClickException(f"there is no file {path}, which WXRC_CONFIG names") from None
        return {}
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path}: {error}") from None
    for name, value in said.items():
        if name not in SETTINGS:
            raise click.ClickException(f"{path}: there is no setting '{name}'; there are: {', '.join(SETTINGS)}")
        if type(value) is not SETTINGS[name]:
            kind = {str: "a text in quotes", int: "a whole number", bool: "true or false"}[SETTINGS[name]]
            raise click.ClickException(f"{path}: {name} must be {kind}, not {value!r}")
    return said


def setting(name: str) -> Callable[[], Any]:
    """Return what gives the default of an option: what `wxrc.toml` says, or else what stands here."""
    otherwise = {"data": "wxrc-data", "host": "127.0.0.1", "port": 8080, "public_url": "", "answer_wait_ms": 300}
    return lambda: read_config(Path(os.environ.get("WXRC_CONFIG", CONFIG))).get(name, otherwise.get(name))


def _store_url(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    """Return the URL, read from a file where it is written @FILE."""
    if value is None:
        return ""
    if value.startswith("@"):
        try:
            return Path(value[1:]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(f"{value[1:]} cannot be read: {getattr(error, 'strerror', 'no text')}") from None
    if has_password(value) and context.get_parameter_source("store") is ParameterSource.COMMANDLINE:
        click.echo(
            "Warning: everybody on this machine can read the password in --store. Use WXRC_STORE or --store @FILE.",
            err=True,
        )
    return value


def _vault_key(value: str) -> bytes:
    try:
        key = bytes.fromhex(value)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise click.ClickException("WXRC_VAULT_KEY must be 64 hexadecimal digits")
    return key


def data_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the data are; the command gets them as one `data`, a `DataDir`."""

    @functools.wraps(command)
    def with_data(*args: Any, data: Path, store: str, vault_key_file: Path | None, **others: Any) -> Any:
        given = os.environ.get("WXRC_VAULT_KEY")
        key = _vault_key(given) if given else vault_key_file
        return command(*args, data=DataDir(data, store, key), **others)

    for option in (
        click.option(
            "--vault-key-file",
            envvar="WXRC_VAULT_KEY_FILE",
            default=setting("vault_key_file"),
            type=click.Path(dir_okay=False, path_type=Path),
            help="The file with the key to stored secrets; by default vault.key in the data directory.",
        ),
        click.option(
            "--store",
            envvar="WXRC_STORE",
            default=setting("store"),
            metavar="URL",
            callback=_store_url,
            help="Where the log is, as postgresql://… or nats://…, or @FILE with that URL in it; by default in the data directory.",
        ),
        click.option(
            "--data",
            envvar="WXRC_DATA",
            default=setting("data"),
            show_default="wxrc-data",
            type=click.Path(file_okay=False, path_type=Path),
            help="The data directory.",
        ),
    ):
        option(with_data)
    return with_data


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _public_url(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if value and not (value.startswith(("http://", "https://")) and urlsplit(value).hostname):
        raise click.BadParameter(
            f"{value!r} must be a URL as browsers see this service, as in https://wxrc.example.com"
        )
    return value


def _names(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (value or "").split(",") if name.strip())


def serve_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `serve` and `demo` share."""
    for option in (
        click.option(
            "--host",
            envvar="WXRC_HOST",
            default=setting("host"),
            show_default="127.0.0.1",
            help="Address to listen on.",
        ),
        click.option(
            "--port",
            envvar="WXRC_PORT",
            default=setting("port"),
            show_default="8080",
            type=click.IntRange(0, 65535),
            help="0 = any.",
        ),
        click.option(
            "--public-url",
            envvar="WXRC_PUBLIC_URL",
            default=setting("public_url"),
            callback=_public_url,
            help="How browsers reach this service.",
        ),
        click.option(
            "--answer-wait-ms",
            envvar="WXRC_ANSWER_WAIT_MS",
            default=setting("answer_wait_ms"),
            show_default="300",
            type=click.IntRange(0, 60_000),
            help="How long an answer waits for a message's end.",
        ),
        click.option(
            "--media-folder",
            envvar="WXRC_MEDIA_FOLDER",
            default=setting("media_folder"),
            show_default="media in the data directory",
            type=click.Path(file_okay=False, path_type=Path),
            help="Files that channels may name as images.",
        ),
        click.option(
            "--trusted-proxy",
            "trusted_proxies",
            envvar="WXRC_TRUSTED_PROXY",
            default=setting("trusted_proxy"),
            metavar="NET,...",
            callback=_names,
            help="Reverse proxies (addresses or networks) whose X-Forwarded-For or Forwarded says which client calls.",
        ),
        data_option,
    ):
        command = option(command)
    return command


def simulator_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say whether and for whom the simulator is there."""
    command = simulator_hosts_option(command)
    return click.option(
        "--simulator/--no-simulator",
        envvar="WXRC_SIMULATOR",
        default=setting("simulator"),
        show_default="where a simulated bot exists",
        help="Serve the simulator's pages, which have no login, at /sim; or run no simulated bot at all.",
    )(command)


simulator_hosts_option = click.option(
    "--simulator-host",
    "simulator_hosts",
    envvar="WXRC_SIMULATOR_HOST",
    default=setting("simulator_host"),
    metavar="NAME,...",
    callback=_names,
    help="Host names that the simulator answers to besides localhost; * = all.",
)
