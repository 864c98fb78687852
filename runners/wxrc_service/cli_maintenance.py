"""`wxrc verify` and `wxrc prune`: what an operator does to a log as a whole."""

from datetime import UTC, datetime
from pathlib import Path

import click

from wxrc_gateway import maintenance
from wxrc_gateway.gateway import wall_clock
from wxrc_service.cli_run import opened, run
from wxrc_service.data import DataDir
from wxrc_service.options import data_option


@click.command("verify")
@data_option
def verify_command(data: DataDir) -> None:
    """Read the whole log and check it: every event, the fold, the snapshot. Ends with 1 where something is wrong."""

    async def work() -> maintenance.Verdict:
        data.check()
        async with opened(data) as store:
            return await maintenance.verify(store)

    verdict = run(work)
    for sentence in verdict.wrong:
        click.echo(f"wrong: {sentence}")
    compared = (
        f"the snapshot at position {verdict.snapshot} is its fold"
        if verdict.snapshot
        else "there is no snapshot to compare"
    )
    if verdict.wrong:
        click.echo(
            f"The log is not in order, from position {verdict.position} on. Stop the service and restore a backup."
        )
        raise SystemExit(1)
    click.echo(f"{verdict.events} events up to position {verdict.position} are in order; {compared}.")


def _day(context: click.Context, parameter: click.Parameter, value: str) -> int:
    try:
        day = datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise click.BadParameter(f"{value!r} must be a day, as in 2026-01-31") from None
    return int(day.timestamp() * 1000)


@click.command("prune")
@click.option(
    "--before",
    required=True,
    metavar="DATE",
    callback=_day,
    help="Prune what ended before this day (UTC), as 2026-01-31.",
)
@click.option(
    "--archive",
    required=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append every event that is pruned to this file (gzip, one JSON object per line).",
)
@data_option
def prune_command(data: DataDir, before: int, archive: Path) -> None:
    """Move what ended long ago from the log into an archive, also beside a running service; repeat it if it was interrupted."""
    if archive.resolve().parent == data.path.resolve() and archive.name in ("wxrc.db", "simulator.db", "vault.key"):
        raise click.ClickException(f"the archive cannot be {archive}: the service uses that file; name another")

    async def work() -> maintenance.Pruned:
        data.check()
        async with opened(data) as store:
            return await maintenance.prune(store, before, archive, wall_clock())

    pruned = run(work)
    click.echo(f"{pruned.streams} streams with {pruned.events} events are in {archive} now and no longer in the log.")
