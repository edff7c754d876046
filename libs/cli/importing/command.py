"""`gantry import`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import click

from gantry.cli.files import Skipped
from gantry.cli.importing.archive import DimseArchive
from gantry.cli.importing.dicomweb import DicomWeb
from gantry.cli.importing.engine import Import, ImportOptions, note_studies
from gantry.cli.importing.folders import FolderFiles
from gantry.cli.importing.job import ImportJob, StudyOutcome, Totals
from gantry.cli.importing.listed import InventoryListing
from gantry.cli.importing.model import Finding, ImportSource, Study
from gantry.cli.importing.pace import Hours, TransferPace
from gantry.cli.importing.throttling import throttled
from gantry.cli.output import json_option, print_csv, print_json, printable, progress_bar, writable
from gantry.cli.peers import EXIT_FAILED, PeerType, calls_a_peer
from gantry.cli.tokens import read_token
from gantry.common.clock import Clock, SystemClock
from gantry.common.config.tls import usual
from gantry.common.errors import ConfigError
from gantry.common.ids import is_ae_title
from gantry.common.net import Peer

_FILES = {"unreadable": "files or folders unreadable", "skipped": "files skipped"}
_NO_STUDIES = "the source lists no studies at all: is the folder mounted, is the --key right?"
_NOBODYS = "1.2"
"""A Study Instance UID to search for, to test whether the archive answers."""
_HEAD = ("study", "kind", "series", "instance", "detail")


@click.command("import")
@calls_a_peer
@click.option(
    "--from",
    "sources",
    multiple=True,
    required=True,
    metavar="SOURCE",
    help="AETITLE@HOST[:PORT] of an archive, the URL of a DICOMweb server, or a folder; several folders are allowed.",
)
@click.option(
    "--key", "-k", "keys", multiple=True, metavar="KEYWORD=VALUE", help="Only studies that match; not with folders."
)
@click.option(
    "--inventory",
    "inventory",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Only what this DICOM Inventory lists; it is fetched from the source.",
)
@click.option("--dry-run", is_flag=True, help="Only compare: report what is missing, different, and extra.")
@click.option(
    "--by-move",
    "destination",
    metavar="AETITLE",
    help="Let the source send (C-MOVE) to this AE title, by which it knows the target.",
)
@click.option(
    "--job",
    "job_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The job file; default: import-….db in this folder, named after source and target.",
)
@click.option("--again", is_flag=True, help="Process all studies, including those that are done.")
@throttled
@click.option("--parallel", type=click.IntRange(1, 16), default=2, show_default=True, help="Studies at once.")
@click.option(
    "--most",
    type=click.IntRange(2),
    default=500,
    show_default=True,
    help="Matches that the source returns for one query; a query with more is split by date.",
)
@click.option(
    "--patience", default=600.0, show_default=True, help="Seconds to wait if source or target cannot be reached."
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every difference and failure to this file (CSV).",
)
@click.option(
    "--spool",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Folder for files in transit; default: the system's folder for temporary files.",
)
@click.option("--from-tls", is_flag=True, help="The source uses TLS, too; --tls-ca and --tls-cert apply to it.")
@click.option(
    "--from-token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A bearer token for a DICOMweb source.",
)
@json_option
async def import_(
    peer: Peer,
    sources: tuple[str, ...],
    keys: tuple[str, ...],
    inventory: Path | None,
    dry_run: bool,
    destination: str | None,
    job_path: Path | None,
    again: bool,
    bytes_per_second: float | None,
    within: Hours | None,
    parallel: int,
    most: int,
    patience: float,
    report_path: Path | None,
    spool: Path | None,
    from_tls: bool,
    from_token_file: Path | None,
    as_json: bool,
    timeout: float,
) -> int:
    """Copy studies from another archive, a DICOMweb server or folders to an archive; or show differences.

    Instances that the archive has are not sent again. Run it again to continue, and to copy what is new.

    \b
    gantry import GANTRY@127.0.0.1 --from OLD@192.0.2.10:104 --dry-run --report differences.csv
    gantry import GANTRY@127.0.0.1 --from OLD@192.0.2.10:104 --rate 20M --hours 19:00-06:30
    gantry import GANTRY@127.0.0.1 --from OLD@192.0.2.10:104 --by-move GANTRY -k StudyDate=2020-
    gantry import GANTRY@127.0.0.1 --from https://old.example.org/dicom-web --from-token-file token
    gantry import GANTRY@127.0.0.1 --from /mnt/cds
    gantry import GANTRY@127.0.0.1 --from OLD@192.0.2.10:104 --inventory inventory.dcm
    """
    _check(sources, keys, inventory, destination, bytes_per_second)
    writable(report_path)
    clock = SystemClock()
    target = f"{peer.called_ae_title}@{peer.host}:{peer.port}"
    named = " ".join([*sources, *([f"as in {inventory}"] if inventory is not None else [])])
    path = job_path or Path(f"import-{sha256(f'{named} {target} {sorted(keys)}'.encode()).hexdigest()[:8]}.db")
    today = datetime.fromtimestamp(clock.now_us() / 1e6).astimezone().date()
    with closing(ImportJob(path, f"{named} {' '.join(sorted(keys))}".strip(), target)) as job:
        source = _source(peer, sources, keys, job, most, from_tls, from_token_file, today, timeout)
        if inventory is not None:
            source = InventoryListing(inventory, job, source)
        options = ImportOptions(dry_run, parallel, patience=patience, destination=destination or "", spool=spool)
        pace = TransferPace(clock, bytes_per_second, within)
        started = clock.monotonic()
        try:
            totals = await _run(job, source, DimseArchive(peer, timeout, today), pace, clock, options, again, as_json)
        except (ExceptionGroup, sqlite3.Error) as error:
            failed = next(iter(error.exceptions)) if isinstance(error, ExceptionGroup) else error
            if not isinstance(failed, sqlite3.Error):
                raise
            raise ConfigError(str(path), None, f"the job file cannot be used: {failed}") from None
        except asyncio.CancelledError:
            click.echo(f"gantry: stopped; the same command continues from here (job file {path})", err=True)
            raise
        finally:
            await source.close()
            if report_path is not None and (rows := _report_of(job)) is not None:
                with report_path.open("w", newline="", encoding="utf-8") as file:
                    print_csv(_HEAD, rows, file)
        return _conclude(totals, source, dry_run, path, clock.monotonic() - started, as_json)


def _report_of(job: ImportJob) -> list[tuple[str, str, str, str, str]] | None:
    """The rows of the report; None if the job file cannot be read, which is printed: the previous report stays."""
    with suppress(sqlite3.Error):
        return list(job.report())
    return None


def _check(
    sources: Sequence[str],
    keys: Sequence[str],
    inventory: Path | None,
    destination: str | None,
    bytes_per_second: float | None,
) -> None:
    """Check that options go together, before a job file records them. Raises `click.UsageError`."""
    first = sources[0]
    folders = all(map(_is_path, sources))
    if folders and keys:
        raise click.UsageError("--key is for archives and DICOMweb servers: a folder is imported as a whole")
    if not folders and len(sources) > 1:
        raise click.UsageError("several sources must all be folders: run the command once for each archive")
    if inventory is not None and (keys or destination):
        raise click.UsageError("--inventory selects the studies: it goes neither with --key nor with --by-move")
    if not folders and not _is_url(first) and "@" not in first:
        raise click.UsageError(f"{first!r} is neither a folder nor a URL, nor of the form AETITLE@host:port")
    if destination and (folders or _is_url(first)):
        raise click.UsageError("--by-move is for an archive: AETITLE@HOST[:PORT]")
    if destination and not is_ae_title(destination):
        raise click.UsageError(f"--by-move: {destination!r} is not an AE title (1 to 16 characters)")
    if destination and bytes_per_second is not None:
        raise click.UsageError(
            "--rate does not apply with --by-move, where the source sends by itself: "
            "leave --rate out, and give --hours and --parallel 1"
        )


def _is_path(source: str) -> bool:
    try:
        return Path(source).exists()
    except PermissionError:
        return True  # it will be said so
    except OSError:
        return False  # too long a name


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _source(
    peer: Peer,
    sources: Sequence[str],
    keys: Sequence[str],
    job: ImportJob,
    most: int,
    tls: bool,
    token_file: Path | None,
    today: date,
    timeout: float,
) -> ImportSource:
    first = sources[0]
    if all(map(_is_path, sources)):
        return FolderFiles([Path(source) for source in sources], job, partial(_skip, job))
    if _is_url(first):
        return DicomWeb(first, timeout, keys, read_token(token_file))
    title, host, port = PeerType().convert(first, None, None)
    context = (peer.tls or usual(None)) if tls else None
    other = replace(peer, host=host, port=port, called_ae_title=title, tls=context)
    return DimseArchive(other, timeout, today, keys, most)


def _skip(job: ImportJob, file: Skipped) -> None:
    """Print that a file is skipped, and record it for the report. A file that could not be read may be an image."""
    path = printable(str(file.path))
    job.note(Finding("unreadable" if file.unreadable else "skipped", "", "", f"{path}: {file.reason}"))
    click.echo(f"{'cannot read' if file.unreadable else 'skipped'} {path}: {printable(file.reason)}", err=True)


async def _run(
    job: ImportJob,
    source: ImportSource,
    target: DimseArchive,
    pace: TransferPace,
    clock: Clock,
    options: ImportOptions,
    again: bool,
    as_json: bool,
) -> Totals:
    await target.study(_NOBODYS)
    if not as_json:
        click.echo("listing the studies of the source", err=True)
    job.list_anew()
    if not await note_studies(job, source, clock, options.patience):
        job.note(Finding("failed", "", "", _NO_STUDIES))
        click.echo(f"gantry: {_NO_STUDIES}", err=True)
    # A completed comparison starts again; an interrupted one continues.
    if again or (options.dry_run and not any(job.left(compared=True))):
        job.reset_studies()
    left = sum(1 for _ in job.left(compared=options.dry_run))
    if not as_json:
        click.echo(f"{left} studies to {'compare' if options.dry_run else 'process'}", err=True)
    if minutes := pace.wait():
        click.echo(f"waiting for the allowed hours, which begin in {minutes} minutes", err=True)
    with progress_bar("comparing" if options.dry_run else "importing", left, quiet=as_json) as bar:

        def tell(study: Study, outcome: StudyOutcome) -> None:
            bar.advance()
            if as_json:
                print_json(_as_json(study, outcome))
            elif outcome.reason:
                click.echo(f"failed {study.uid}: {outcome.reason}", err=True)
            elif failed := [finding for finding in outcome.findings if finding.kind == "failed"]:
                click.echo(f"failed {study.uid}: {len(failed)} instances; {failed[0].detail}", err=True)

        await Import(job, source, target, pace, clock, options, tell).run()
    return job.totals()


def _as_json(study: Study, outcome: StudyOutcome) -> dict[str, object]:
    kinds = [finding.kind for finding in outcome.findings]
    counts = {kind: kinds.count(kind) for kind in ("missing", "different", "extra", "failed")}
    return {
        "study": study.uid, "source": outcome.source, "target": outcome.target, "stored": outcome.stored,
        "bytes": outcome.bytes, **counts, "reason": outcome.reason,
    }  # fmt: skip


def _conclude(totals: Totals, source: ImportSource, dry_run: bool, path: Path, seconds: float, as_json: bool) -> int:
    """Print the totals of the job, and all doubts about completeness. Returns the exit code."""
    doubts = source.complete.doubts if isinstance(source, DimseArchive) else []
    doubts = source.doubts if isinstance(source, InventoryListing) else doubts
    failed, kinds = totals.states.get("failed", 0), totals.kinds
    # An inventory lists everything that is expected, so unreadable files cannot hide further instances.
    unreadable = kinds.get("unreadable", 0) if not isinstance(source, InventoryListing) else 0
    if as_json:
        print_json(
            {
                "studies": totals.states,
                "findings": kinds,
                "stored": totals.stored,
                "bytes": totals.bytes,
                "doubts": doubts,
            }
        )
    else:
        states = ", ".join(f"{count} {state}" for state, count in sorted(totals.states.items())) or "none"
        summary = ", ".join(f"{kinds.get(kind, 0)} {kind}" for kind in ("missing", "different", "extra", "failed"))
        summary += "".join(f", {kinds[kind]} {words}" for kind, words in _FILES.items() if kinds.get(kind))
        click.echo(f"studies: {states}")
        click.echo(f"instances: {totals.source} at the source, {totals.stored} stored by this job, {summary}")
        if not dry_run:
            size = f"{totals.bytes / 1e6:.1f} MB in all; " if totals.bytes or not totals.stored else ""
            click.echo(f"{size}this run {seconds:.1f} s; job file {path}")
        for doubt in doubts:
            click.echo(f"gantry: perhaps not all: {doubt}", err=True)
        if failed and not dry_run:
            click.echo("gantry: run it again to retry what failed", err=True)
        if unreadable:
            click.echo("gantry: files that could not be read may be images; --report lists them", err=True)
    return EXIT_FAILED if failed or kinds.get("missing") or kinds.get("failed") or unreadable else 0
