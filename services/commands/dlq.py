"""`gantry dlq`: lists, replays and discards events that a consumer group could not apply."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError, NotFound
from gantry.common.events import DeadLetter
from gantry.services.commands.on_stores import options, run, show
from gantry.services.commands.reasons import one_line
from gantry.services.maintenance.dead_letters import DeadLetters, Replayed
from gantry.services.maintenance.letters import Letter, LetterLedger
from gantry.services.process.stores import Stores
from gantry.services.requester import this_user
from gantry.services.whereabouts.words import moment

_letters = click.argument("letters", metavar="[LETTER...]", nargs=-1)
_group = click.option("--group", help="Only letters of one consumer group, such as `indexer`.")
_all_open = click.option("--all", "every", is_flag=True, help="All open letters, instead of naming them.")


@click.group()
def dlq() -> None:
    """Dead letters: events that a consumer group could not apply.

    The object of such an event is in the object store; only the group has not processed it. Fix the cause, then replay
    the letter; or discard it. Letters are listed for 30 days.
    """


@dlq.command("list")
@options
@_group
@click.option("--all", "every", is_flag=True, help="Include letters that were replayed or discarded.")
def list_letters(config: Path | None, data: Path | None, as_json: bool, group: str | None, every: bool) -> None:
    """List open dead letters, the oldest first."""

    async def work(stores: Stores, settings: Settings) -> None:
        ledger = await DeadLetters(stores.log, SystemClock()).ledger()
        letters = [letter for letter in (ledger.all() if every else ledger.open()) if group in (None, letter.group)]
        if as_json:
            for letter in letters:
                print_json(asdict(letter))
        elif letters:
            head = ("letter", "when", "group", "topic", "offset", "state", "event", "reason")
            print_columns(head, [_row(letter) for letter in letters])
        else:
            click.echo("no dead letters" if every else "no open dead letters")

    run(config, data, work, any_index=True)


def _row(letter: Letter) -> tuple[str, ...]:
    return (
        letter.id,
        moment(letter.failed_at),
        letter.group,
        letter.topic,
        str(letter.offset),
        letter.state,
        letter.event or "unreadable",
        letter.reason,
    )


@dlq.command("show")
@options
@click.argument("letter", metavar="LETTER")
def show_letter(config: Path | None, data: Path | None, as_json: bool, letter: str) -> None:
    """Show one dead letter: what failed, for which instance, why, and what was decided."""

    async def work(stores: Stores, settings: Settings) -> None:
        ledger = await DeadLetters(stores.log, SystemClock()).ledger()
        name = _named(ledger, letter)
        (dead_letter,) = (letter for letter in ledger.all() if ledger.letters[letter.id] is name)
        times = {"failed_at", "decided_at"}
        if as_json:
            print_json(asdict(dead_letter))
            return
        rows = [
            (key.replace("_", " "), moment(value) if key in times else str(value))
            for key, value in asdict(dead_letter).items()
            if value not in ("", 0) or key == "offset"
        ]
        print_columns(("dead letter", dead_letter.id), rows)

    run(config, data, work, any_index=True)


@dlq.command()
@options
@_letters
@_group
@_all_open
@click.option(
    "--wait", type=float, default=10.0, show_default=True, help="Seconds to wait for the group, for each letter."
)
def replay(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    letters: tuple[str, ...],
    group: str | None,
    every: bool,
    wait: float,
) -> None:
    """Publish events again, so that their group processes them again; services keep running.

    Other groups that read the topic see the event twice, which changes nothing. Exit code 1 if an event failed again:
    it is then a new dead letter.
    """
    _require_choice(letters, every)

    async def work(stores: Stores, settings: Settings) -> None:
        dead_letters = DeadLetters(stores.log, SystemClock(), wait)
        failed = False
        for letter in _chosen(await dead_letters.ledger(), letters, group):
            try:
                replayed = await dead_letters.replay(letter, this_user())
            except NotFound as error:
                raise ConfigError("dlq replay", None, str(error)) from error
            failed |= replayed.again is not None
            _say_replayed(replayed, letter.group, as_json)
        if failed:
            sys.exit(1)

    run(config, data, work, any_index=True)


def _say_replayed(replayed: Replayed, group: str, as_json: bool) -> None:
    if as_json:
        print_json(asdict(replayed))
    elif replayed.again is not None:
        click.echo(f"{replayed.letter}: failed again, now {replayed.again.id}: {replayed.again.reason}")
    elif replayed.handled:
        click.echo(f"{replayed.letter}: handled by {group}")
    else:
        click.echo(f"{replayed.letter}: published; {group} is behind or not running, and will handle it later")


@dlq.command()
@options
@_letters
@_group
@_all_open
@click.option("--reason", required=True, callback=one_line, help="The reason; kept for ever, so no patient's name.")
def discard(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    letters: tuple[str, ...],
    group: str | None,
    every: bool,
    reason: str,
) -> None:
    """Decide that events are not to be applied. Their objects stay in the object store."""
    _require_choice(letters, every)

    async def work(stores: Stores, settings: Settings) -> None:
        dead_letters = DeadLetters(stores.log, SystemClock())
        chosen = _chosen(await dead_letters.ledger(), letters, group)
        for letter in chosen:
            await dead_letters.discard(letter, reason, this_user())
        show(as_json, {"discarded": len(chosen)}, ("dead letters", ""), [("discarded", len(chosen))])

    run(config, data, work, any_index=True)


def _require_choice(letters: tuple[str, ...], every: bool) -> None:
    if bool(letters) == every:
        raise click.UsageError("name letters, or give --all for all open ones")


def _chosen(ledger: LetterLedger, names: tuple[str, ...], group: str | None) -> list[DeadLetter]:
    """The named letters, or all open ones; only those of `group` if it is given."""
    if names:
        letters = [_named(ledger, name) for name in dict.fromkeys(names)]
    else:
        letters = [ledger.letters[letter.id] for letter in ledger.open()]
    return [letter for letter in letters if group in (None, letter.group)]


def _named(ledger: LetterLedger, name: str) -> DeadLetter:
    try:
        return ledger.named(name)
    except NotFound as error:
        raise ConfigError(name, None, str(error)) from error
