"""`gantry hl7`: checks and sends messages; shows, repairs, replays or discards those in quarantine."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from gantry.cli.output import print_columns, print_json, printable
from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.config.settings import Settings
from gantry.common.config.tls import client_context
from gantry.common.errors import ConfigError, GantryError, NotFound, PeerError
from gantry.common.events import MessageDiscarded
from gantry.common.hl7.actions import in_words
from gantry.common.hl7.answers import Acknowledged, acknowledged
from gantry.common.hl7.files import messages_in
from gantry.common.hl7.message import parse
from gantry.common.hl7.planning import header_of, plan, read
from gantry.common.hl7.problems import MessageRefused
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.net.mllp_client import MllpClient
from gantry.services.commands.on_stores import options, run
from gantry.services.commands.reasons import one_line
from gantry.services.orders.hl7.correspondence import read_ledger
from gantry.services.orders.hl7.ledger import MessageLedger, Quarantined
from gantry.services.orders.hl7.profiles import profiles_in
from gantry.services.process.stores import Stores
from gantry.services.requester import this_user
from gantry.services.whereabouts.words import moment

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_config = click.option("--config", type=click.Path(dir_okay=False, path_type=Path), envvar="GANTRY_CONFIG")
_tls = click.option("--tls", is_flag=True, help="Speak TLS, as in the settings' `tls`.")
_timeout = click.option("--timeout", type=float, default=30.0, show_default=True, help="Seconds for an answer.")


@click.group()
def hl7() -> None:
    """HL7 version 2 messages: check a file, send it; show messages that could not be applied."""


@hl7.command()
@_config
@click.argument("file", type=_FILE)
def check(config: Path | None, file: Path) -> None:
    """Show what the messages in FILE would do here, with the profiles of --config, without doing it.

    Exit code 1 if one of them would not be applied.
    """
    settings = _settings(config)
    profiles, refused = profiles_in(settings.hl7), False
    for raw in messages_in(file.read_bytes()):
        try:
            received = read(raw, profiles)
            message = received.message
            click.echo(printable(f"{message.kind} {message.control_id} of {message.source}"))
            for action in plan(received, profiles):
                click.echo(f"  {printable(in_words(action))}")
        except MessageRefused as refusal:
            refused = True
            click.echo("  rejected (AR):" if refusal.rejected else "  not applied (AE):")
            for problem in refusal.problems:
                click.echo(f"    {problem} ({problem.code.value})")
    sys.exit(1 if refused else 0)


@hl7.command()
@_config
@click.argument("file", type=_FILE)
@click.argument("address", metavar="HOST:PORT")
@_tls
@_timeout
def send(config: Path | None, file: Path, address: str, tls: bool, timeout: float) -> None:
    """Send the messages in FILE, one after the other, and print how each is answered.

    Exit code 1 if one is not accepted, 2 if there is no answer.
    """
    host, port = _address(address)
    answers = _sent(_settings(config), messages_in(file.read_bytes()), host, port, tls, timeout)
    sys.exit(0 if all(answers) else 1)


@hl7.group()
def quarantine() -> None:
    """Messages that could not be applied; their sender was answered AE.

    Fix the cause, or the message, and replay it; or discard it. They are kept for 30 days.
    """


@quarantine.command("list")
@options
@click.option("--all", "every", is_flag=True, help="Include messages that were applied later, or discarded.")
def list_messages(config: Path | None, data: Path | None, as_json: bool, every: bool) -> None:
    """List messages in quarantine, the oldest first."""

    async def work(stores: Stores, settings: Settings) -> None:
        ledger = await read_ledger(stores.log)
        messages = ledger.all() if every else ledger.open()
        if as_json:
            for message in messages:
                print_json(asdict(message))
        elif messages:
            head = ("message", "when", "from", "kind", "control ID", "times", "state", "problem")
            print_columns(head, [_row(message) for message in messages])
        else:
            click.echo("no messages in quarantine" if every else "no open messages in quarantine")

    run(config, data, work, any_index=True)


def _row(message: Quarantined) -> tuple[str, ...]:
    identity = message.source, message.kind, message.control_id
    return (message.id, moment(message.at), *identity, str(message.times), message.state, message.problems[0])


@quarantine.command("show")
@options
@click.argument("name", metavar="MESSAGE")
def show_message(config: Path | None, data: Path | None, as_json: bool, name: str) -> None:
    """Print a message as received, and before it, on standard error, its problems.

    `gantry hl7 quarantine show ID > message.hl7` gives a file to edit and replay.
    """

    async def work(stores: Stores, settings: Settings) -> None:
        ledger = await read_ledger(stores.log)
        message = _named(ledger, name)
        if as_json:
            print_json({**asdict(message), "text": ledger.text(message.id).decode("latin-1")})
            return
        for problem in message.problems:
            click.echo(problem, err=True)
        text = ledger.text(message.id).replace(b"\r\n", b"\r").replace(b"\r", b"\n")
        if sys.stdout.isatty():  # a file gets every byte; a terminal would execute control characters
            text = "\n".join(map(printable, text.decode("utf-8", "replace").split("\n"))).encode()
        sys.stdout.buffer.write(text)

    run(config, data, work, any_index=True)


@quarantine.command("replay")
@options
@click.argument("name", metavar="MESSAGE")
@click.option("--file", type=_FILE, help="Send this repaired message in its place.")
@click.option(
    "--to", "address", metavar="HOST:PORT", help="The MLLP port; by default that of the settings, on this machine."
)
@_tls
@_timeout
def replay_message(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    name: str,
    file: Path | None,
    address: str | None,
    tls: bool,
    timeout: float,
) -> None:
    """Send a message again, as received or repaired, and print the answer.

    Keep its control ID (MSH-10), so that it leaves the quarantine when it is accepted. Exit codes as for `gantry hl7
    send`.
    """

    async def work(stores: Stores, settings: Settings) -> None:
        ledger = await read_ledger(stores.log)
        texts.append(ledger.text(_named(ledger, name).id))

    texts: list[bytes] = []
    run(config, data, work, any_index=True)
    settings = _settings(config)
    if address is None and settings.hl7.port is None:
        raise click.UsageError("give --to HOST:PORT: the settings have no hl7.port")
    host, port = _address(address or f"127.0.0.1:{settings.hl7.port}")
    messages = messages_in(file.read_bytes()) if file is not None else texts
    answers = _sent(settings, messages, host, port, tls or (address is None and settings.hl7.tls), timeout, as_json)
    sys.exit(0 if all(answers) else 1)


@quarantine.command("discard")
@options
@click.argument("names", metavar="MESSAGE...", nargs=-1, required=True)
@click.option("--reason", required=True, callback=one_line, help="The reason, without a patient's name.")
def discard_message(config: Path | None, data: Path | None, as_json: bool, names: tuple[str, ...], reason: str) -> None:
    """Decide that messages are not to be applied."""

    async def work(stores: Stores, settings: Settings) -> None:
        ledger = await read_ledger(stores.log)
        for message in [_named(ledger, name) for name in dict.fromkeys(names)]:
            identity = message.source, message.control_id, ledger.digest(message.id)
            at = SystemClock().now_us()
            await stores.log.append(MessageDiscarded(DEFAULT_PARTITION, "", *identity, reason, this_user(), at))
            print_json({"discarded": message.id}) if as_json else click.echo(f"{message.id}: discarded")

    run(config, data, work, any_index=True)


def _sent(
    settings: Settings, messages: list[bytes], host: str, port: int, tls: bool, timeout: float, as_json: bool = False
) -> list[bool]:
    async def go() -> list[bool]:
        context = client_context(settings.tls) if tls else None
        accepted = []
        async with MllpClient(host, port, context, timeout) as client:
            for message in messages:
                answer = await _answer(client, message)
                _say(answer, as_json)
                accepted.append(answer.accepted)
        return accepted

    try:
        return asyncio.run(go())
    except (PeerError, MessageRefused) as error:
        click.echo(f"no answer: {error}", err=True)
        sys.exit(2)


async def _answer(client: MllpClient, message: bytes) -> Acknowledged:
    """The answer to a message: the application acknowledgement, if one follows in enhanced mode."""
    header = header_of(message)
    follows = header is not None and header.header.text(16) in ("AL", "SU", "ER")
    answer = acknowledged(parse((await client.send(message)).decode("utf-8", "replace")))
    while (follows and answer.code == "CA") or (
        header is not None and answer.control_id not in ("", header.control_id)
    ):
        answer = acknowledged(parse((await client.receive()).decode("utf-8", "replace")))
    return answer


def _say(answer: Acknowledged, as_json: bool) -> None:
    if as_json:
        print_json(asdict(answer))
        return
    first, *rest = answer.words
    click.echo(printable(f"{answer.control_id}: {first}"))
    for line in rest:
        click.echo(f"  {printable(line)}")


def _settings(config: Path | None) -> Settings:
    try:
        return load_settings(config, os.environ)
    except GantryError as error:
        raise click.ClickException(str(error)) from error


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.UsageError(f"{text} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _named(ledger: MessageLedger, name: str) -> Quarantined:
    try:
        return ledger.named(name)
    except NotFound as error:
        raise ConfigError(name, None, str(error)) from error
