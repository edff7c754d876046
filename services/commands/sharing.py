"""`gantry share`: links for people outside, on the archive's own stores."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.access.asked_shares import MOST_OPENINGS, asked_share
from gantry.common.access.shares import Shares
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, NotUnderstood, UndecodableEvent
from gantry.common.events import decode
from gantry.common.ports.log import EventLog
from gantry.common.runtime.deidentification_profiles import read_profiles
from gantry.common.runtime.followed_shares import TOPIC
from gantry.common.telemetry.traces import new_trace
from gantry.common.web.shares import SealedShares, sealed_shares_of
from gantry.services.commands.on_stores import options, run
from gantry.services.commands.reasons import reason_option
from gantry.services.process.stores import Stores
from gantry.services.query.sharing.making import made, revoked, shown, time_of
from gantry.services.requester import this_user

_COLUMNS = ("link", "made", "by", "ends", "opened", "state", "studies", "reason")
_DAY_US = 24 * 3600 * 1_000_000


@click.group()
def share() -> None:
    """Create, list and revoke links that show some studies to people outside."""


@share.command()
@options
@click.argument("studies", metavar="STUDY...", nargs=-1, required=True)
@click.option(
    "--days",
    type=click.FloatRange(0, 366, min_open=True),
    default=7.0,
    show_default=True,
    help="Days until the link ends.",
)
@click.option("--openings", type=click.IntRange(1, MOST_OPENINGS), help="How often it may be opened.")
@click.option("--password", "locked", is_flag=True, help="Ask for a password, or read it from standard input.")
@click.option("--download", is_flag=True, help="Allow the download of whole objects.")
@click.option("--deidentify", metavar="PROFILE", default="", help="Show copies de-identified by this profile.")
@reason_option
def create(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    studies: tuple[str, ...],
    days: float,
    openings: int | None,
    locked: bool,
    download: bool,
    deidentify: str,
    reason: str,
) -> None:
    """Create a link to studies, by their Study Instance UIDs, and print it to standard output: it is shown only once.

    \b
        gantry share create 1.2.3 --days 14 --password --reason "second opinion, clinic on the lake"
    """
    fields = {
        "studies": list(studies),
        "expires": time_of(SystemClock().now_us() + int(days * _DAY_US)),
        "password": _password() if locked else "",
        "openings": openings or 0,
        "download": download,
        "reason": reason,
        "deidentify": deidentify,
    }

    async def work(stores: Stores, settings: Settings) -> None:
        sealed, now = _sealed(settings), SystemClock().now_us()
        try:
            wanted = asked_share(fields, now, int(settings.sharing.longest_days * _DAY_US))
            profiles = read_profiles(settings.deidentification.profiles, {})
            share = await made(wanted, stores.index, this_user(), new_trace(), now, profiles)
        except NotUnderstood as error:
            raise click.ClickException(str(error)) from error
        await stores.log.append(share.created)
        link, end = sealed.link(share.token), time_of(share.created.expires_at)
        if as_json:
            print_json({"share": share.created.share, "link": link, "expires": end})
        else:
            click.echo(link)
            click.echo(f"link {share.created.share} ends {end}", err=True)

    run(config, data, work)


@share.command("list")
@options
def listed(config: Path | None, data: Path | None, as_json: bool) -> None:
    """List all links, including those that ended in the last 90 days, without their tokens, which are not stored."""

    async def work(stores: Stores, settings: Settings) -> None:
        rows = [shown(share, SystemClock().now_us()) for share in (await _shares(stores.log)).all()]
        if as_json:
            for row in rows:
                print_json(row)
        elif rows:
            keys = ("share", "created", "by", "expires")
            print_columns(
                _COLUMNS,
                [
                    (
                        *(str(row[key]) for key in keys),
                        f"{row['opened']} of {row['openings']}" if row["openings"] else str(row["opened"]),
                        str(row["state"]),
                        " ".join(row["studies"]),
                        str(row["reason"]),
                    )
                    for row in rows
                ],
            )
        else:
            click.echo("there is no link")

    run(config, data, work, on_record=False)


@share.command()
@options
@click.argument("links", metavar="LINK...", nargs=-1, required=True)
@reason_option
def revoke(config: Path | None, data: Path | None, as_json: bool, links: tuple[str, ...], reason: str) -> None:
    """Revoke links, by their names in `gantry share list`: they no longer open, and open sessions end."""

    async def work(stores: Stores, settings: Settings) -> None:
        shares = await _shares(stores.log)
        for link in links:
            event = revoked(shares, link, this_user(), reason, new_trace(), SystemClock().now_us(), of_anyone=True)
            if event is not None:
                await stores.log.append(event)
            if as_json:
                print_json({"share": link, "revoked": True})
            else:
                click.echo(f"{link} revoked")

    run(config, data, work)


async def _shares(log: EventLog) -> Shares:
    shares = Shares()
    async for record in log.replay(TOPIC):
        try:
            shares.apply(decode(record.payload))
        except UndecodableEvent:
            continue  # of a newer release
    shares.forget(SystemClock().now_us())
    return shares


def _sealed(settings: Settings) -> SealedShares:
    sealed = sealed_shares_of(settings, SystemClock())
    if sealed is None:
        raise ConfigError("sharing.key_file", None, "is not set: no link could be opened (docs/sharing.md)")
    return sealed


def _password() -> str:
    if sys.stdin.isatty():
        password: str = click.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise click.ClickException("no password was given")
    return password
