"""`gantry evidence`: signed statements of sealed segments, and their verification."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from joserfc.jwk import OKPKey

from gantry.cli.output import print_columns, print_json
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.common.evidence import SignedStatement, keys_in, read
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.blobs import read_whole
from gantry.common.telemetry.metrics import Metrics
from gantry.services.commands.on_stores import options, run, show
from gantry.services.maintenance.evidence.examining import Examination, Examined
from gantry.services.maintenance.evidence.witness import Witness, signing_keys, statement_keys
from gantry.services.process.stores import Stores
from gantry.services.whereabouts.words import moment

_FILE = click.Path(dir_okay=False, path_type=Path)
_public = click.option(
    "--key",
    "key_files",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    multiple=True,
    help="PEM file of a key whose signatures are accepted; several if the key was replaced. "
    "By default `audit.evidence_key`.",
)


@click.group()
def evidence() -> None:
    """Signed statements of all sealed segments: events, and audit records (docs/audit.md).

    If `audit.evidence_key` is set, the indexer role makes one every `audit.evidence_every` seconds.
    """


@evidence.command(name="new-key")
@click.argument("file", type=_FILE)
def new_key(file: Path) -> None:
    """Create a key pair: FILE for the archive, FILE.pub for the auditor."""
    key = OKPKey.generate_key("Ed25519", auto_kid=False)
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as private:
            private.write(key.as_pem(private=True))
        public = file.with_name(f"{file.name}.pub")
        public.write_bytes(key.as_pem(private=False))
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror or error}") from error
    click.echo(f"{file}: keep it secret; name it in `audit.evidence_key`")
    click.echo(f"{public}: for the auditor; its kid is {key.thumbprint()}")


@evidence.command(name="state")
@options
def state_(config: Path | None, data: Path | None, as_json: bool) -> None:
    """Make a statement now of what was sealed since the last one."""

    async def work(stores: Stores, settings: Settings) -> None:
        clock = SystemClock()
        witness = Witness(stores.objects, clock, Metrics(), DEFAULT_PARTITION, _signing_keys(settings))
        _list(await witness.state(), as_json, "nothing new was sealed")

    run(config, data, work, any_index=True, on_record=False)


@evidence.command(name="list")
@options
@_public
@click.option("--last", type=click.IntRange(1), default=24, show_default=True, help="How many.")
def list_(config: Path | None, data: Path | None, as_json: bool, key_files: tuple[Path, ...], last: int) -> None:
    """List the newest statements, with the digests to write down."""

    async def work(stores: Stores, settings: Settings) -> None:
        public = _keys(key_files, settings)
        names = [key async for key in statement_keys(stores.objects, DEFAULT_PARTITION)][-last:]
        _list([read(await read_whole(stores.objects, key), public) for key in names], as_json)

    run(config, data, work, any_index=True, on_record=False)


@evidence.command()
@options
@_public
@click.option("--noted", multiple=True, help="A digest that was written down earlier: it must still exist.")
@click.option(
    "--removed-before",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Audit records older than this day (UTC) may be missing: a rule of the bucket removes them.",
)
def verify(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    key_files: tuple[Path, ...],
    noted: tuple[str, ...],
    removed_before: datetime | None,
) -> None:
    """Compare all statements with each other, and with the object store.

    Reads every sealed segment. Exit code 1 if anything was changed, removed or added. Run `gantry reconcile` and
    `gantry verify` to compare the index and the objects with the sealed events.
    """

    async def work(stores: Stores, settings: Settings) -> None:
        before = int(removed_before.replace(tzinfo=UTC).timestamp() * 1000) if removed_before is not None else 0
        examination = Examination(
            stores.objects, DEFAULT_PARTITION, _keys(key_files, settings), noted=noted, removed_before=before
        )
        silent = as_json or not sys.stderr.isatty()
        done = await examination.run(SystemClock().now_us() // 1000, (lambda _: None) if silent else _progress)
        _show(done, as_json)
        if done.wrong:
            sys.exit(1)

    run(config, data, work, any_index=True, on_record=False)


def _signing_keys(settings: Settings) -> list[OKPKey]:
    if settings.audit.evidence_key is None:
        raise ConfigError("audit.evidence_key", None, "no key is set; `gantry evidence new-key FILE` creates one")
    return signing_keys(settings.audit.evidence_key)


def _keys(files: tuple[Path, ...], settings: Settings) -> list[OKPKey]:
    if not files:
        return _signing_keys(settings)
    return [key for file in files for key in keys_in(file.read_text(), str(file))]


def _list(statements: list[SignedStatement], as_json: bool, nothing: str = "there are no statements") -> None:
    if as_json:
        for signed in statements:
            fields = asdict(signed.statement) | {
                "root": signed.statement.root,
                "digest": signed.digest,
                "key": signed.key_id,
            }
            print_json(fields | {"segments": len(signed.statement.segments)})
        return
    if not statements:
        click.echo(nothing)
        return
    rows = [
        (str(statement.number), moment(statement.at), str(len(statement.segments)), statement.root[:16], signed.digest)
        for signed in statements
        for statement in [signed.statement]
    ]
    print_columns(("number", "at", "segments", "root", "digest"), rows)


def _progress(done: Examined) -> None:
    click.echo(f"\r{done.statements} statements, {done.segments} segments, {done.wrong} wrong", nl=False, err=True)


def _show(done: Examined, as_json: bool) -> None:
    if not as_json and sys.stderr.isatty():
        click.echo(err=True)
    rows = [
        ("statements", done.statements),
        ("from", moment(done.first_at) if done.first_at else "-"),
        ("to", moment(done.last_at) if done.last_at else "-"),
        ("segments compared", f"{done.segments} ({done.bytes:,} bytes)"),
        ("removed by a rule, as allowed", done.removed),
        ("not stated yet", done.waiting),
        ("changed, removed or added", done.wrong),
        ("digest to write down", done.head or "-"),
    ]
    show(as_json, asdict(done), ("evidence", "result"), rows)
    for key, words in [] if as_json else done.findings:
        click.echo(f"{key}: {words}", err=True)
