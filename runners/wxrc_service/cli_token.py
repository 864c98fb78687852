"""`wxrc token ...`: who may use the admin API, in which role."""

from typing import Any

import click

from wxrc_gateway import Gateway
from wxrc_gateway.admin_views import TokenView, all_tokens
from wxrc_service import show as shown
from wxrc_service.cli_admin import cli_user, json_option, perform, show
from wxrc_service.data import DataDir
from wxrc_service.language import say
from wxrc_service.options import data_option


@click.group("token")
def token_group() -> None:
    """Tokens of the admin API."""


@token_group.command("add")
@click.argument("name")
@click.option(
    "--role", required=True, type=click.Choice(["viewer", "operator", "admin"]),
    help="viewer looks; operator also runs bots, messages and callbacks; admin also changes channels, bots and tokens.",
)  # fmt: skip
@json_option
@data_option
def token_add(data: DataDir, name: str, role: Any, as_json: bool) -> None:
    """Make a token, and print it this once. Its name stands in the log for whatever is done with it."""
    made = perform(data, lambda gateway: gateway.add_token(name, role, by=cli_user()), make=True)
    said = {"name": made.name, "role": made.role, "token": made.token}
    show(as_json, said, (f"{field:<6} {value}" for field, value in said.items()))


@token_group.command("list")
@json_option
@data_option
def token_list(data: DataDir, as_json: bool) -> None:
    """List the tokens that are valid, without the tokens themselves."""

    async def work(gateway: Gateway) -> list[TokenView]:
        return all_tokens(gateway.view)

    found = perform(data, work)
    none = say("没有令牌；添加：wxrc token add", "none; add one: wxrc token add")
    show(
        as_json,
        found,
        [f"{each.name}  {each.role}  {shown.clock_time(each.added_at)} {each.added_by}" for each in found] or [none],
    )


@token_group.command("remove")
@click.argument("name")
@json_option
@data_option
def token_remove(data: DataDir, name: str, as_json: bool) -> None:
    """End a token at once."""
    perform(data, lambda gateway: gateway.remove_token(name, by=cli_user()))
    show(
        as_json,
        {"name": name, "removed": True},
        [say("令牌 {name} 已失效", "token {name} is no longer valid", name=name)],
    )
