"""`gantry export`."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gantry.cli.exporting.directory import Directory
from gantry.cli.exporting.engine import Export, StudyExport
from gantry.cli.exporting.names import MediaNames, ReadableNames
from gantry.cli.exporting.readme import readme
from gantry.cli.exporting.target import ExportTarget, FolderTarget, ZipTarget, begins_anew
from gantry.cli.exporting.workitems import Claimed, ExportWorklist, not_performable
from gantry.cli.importing.archive import DimseArchive
from gantry.cli.output import json_option, print_json, progress_bar
from gantry.cli.peers import EXIT_FAILED, calls_a_peer
from gantry.common.clock import SystemClock
from gantry.common.deidentify.objects import Deidentifier
from gantry.common.deidentify.options import CLEANED, RETAINED, profile_of
from gantry.common.deidentify.patients import pseudonyms_in
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.errors import NotDeidentified
from gantry.common.ids import is_uid, new_uid
from gantry.common.net import Peer

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@calls_a_peer
@click.argument("studies", nargs=-1, metavar="[STUDY]...")
@click.option("--key", "-k", "keys", multiple=True, metavar="KEYWORD=VALUE", help="All studies that match.")
@click.option(
    "--worklist",
    metavar="LABEL",
    help="The studies of workitems (UPS) with this Worklist Label; each is claimed and completed. Only into a folder.",
)
@click.option(
    "--to",
    "where",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER|FILE.zip",
    help="A folder, in which a later run continues; or a ZIP file.",
)
@click.option("--media", is_flag=True, help="As DICOM media: a DICOMDIR, and names of eight characters.")
@click.option("--deidentify", is_flag=True, help="Remove everything that identifies a person (PS3.15 Annex E).")
@click.option(
    "--retain",
    multiple=True,
    type=click.Choice([option.value for option in RETAINED]),
    help="Retain this nevertheless.",
)
@click.option(
    "--clean",
    multiple=True,
    type=click.Choice([option.value for option in CLEANED]),
    help="Retain this after cleaning; else it is removed.",
)
@click.option(
    "--key-file",
    type=_FILE,
    help="The key that pseudonyms are made with, 16 bytes or more; without it they differ in each export.",
)
@click.option("--patients", type=_FILE, help="Pseudonyms of patients: a CSV file of Patient ID and pseudonym.")
@click.option(
    "--pixels-checked",
    is_flag=True,
    help="I have examined the images: export also those that may have names burned in.",
)
@click.option("--dry-run", is_flag=True, help="Only count what the archive has, and what would be exported.")
@click.option(
    "--spool",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Folder for files in transit; default: the system's folder for temporary files.",
)
@json_option
async def export(
    peer: Peer,
    studies: tuple[str, ...],
    keys: tuple[str, ...],
    worklist: str | None,
    where: Path,
    media: bool,
    deidentify: bool,
    retain: tuple[str, ...],
    clean: tuple[str, ...],
    key_file: Path | None,
    patients: Path | None,
    pixels_checked: bool,
    dry_run: bool,
    spool: Path | None,
    as_json: bool,
    timeout: float,
) -> int:
    """Export studies of an archive into a folder or a ZIP file, on request as DICOM media.

    Run it again with the same folder to continue, and to add what is new.

    \b
    gantry export GANTRY@127.0.0.1 1.2.840.99.1 --to /mnt/studies
    gantry export GANTRY@127.0.0.1 1.2.840.99.1 --to cd --media
    gantry export GANTRY@127.0.0.1 -k PatientID=4711 --to 4711.zip
    gantry export GANTRY@127.0.0.1 --worklist EXPORT --to /mnt/studies
    gantry export GANTRY@127.0.0.1 -k StudyDate=2024- --to research --deidentify --key-file key \\
        --retain modified-dates --retain patient-characteristics --clean descriptors
    """
    if not deidentify and (retain or clean or key_file or patients or pixels_checked):
        raise click.UsageError("--retain, --clean, --key-file, --patients and --pixels-checked go with --deidentify")
    _need_studies(studies, keys, worklist, where, dry_run=dry_run)
    deidentifier = _deidentifier((*retain, *clean), key_file, patients, pixels_checked) if deidentify else None
    today = datetime.fromtimestamp(SystemClock().now_us() / 1e6).astimezone().date()
    archive = DimseArchive(peer, timeout, today, keys)
    if worklist is not None:
        source = ExportWorklist(peer, worklist, timeout)
        return await _perform(source, archive, where, deidentifier, spool, media=media, as_json=as_json)
    chosen = list(dict.fromkeys(studies or [study.uid async for study in archive.studies()]))
    if not chosen:
        click.echo("gantry: the archive has no study that matches", err=True)
        return EXIT_FAILED
    if dry_run:
        return await _compare(archive, chosen, as_json)
    try:
        outcomes, whole = await _export(archive, chosen, where, deidentifier, spool, media=media, as_json=as_json)
    except OSError as error:
        click.echo(f"gantry: {_unwritten(where, error)}", err=True)
        return EXIT_FAILED
    return _conclude(outcomes, where, whole, as_json)


def _unwritten(where: Path, error: OSError) -> str:
    return f"{error.filename or where} cannot be written: {error.strerror or error}"


async def _perform(
    worklist: ExportWorklist,
    archive: DimseArchive,
    where: Path,
    deidentifier: Deidentifier | None,
    spool: Path | None,
    *,
    media: bool,
    as_json: bool,
) -> int:
    """Perform workitems, one after the other. The target is opened before the first one is claimed."""
    waiting = await worklist.scheduled()
    outcomes: list[StudyExport] = []
    completed: list[bool] = []
    whole = False
    try:
        if waiting:
            with (
                _opened(archive, where, deidentifier, spool, media=media) as job,
                progress_bar("performing", len(waiting), quiet=as_json) as bar,
            ):
                for workitem in waiting:
                    if claimed := await worklist.claim(workitem):
                        completed.append(await _perform_one(worklist, claimed, job, outcomes, as_json))
                    bar.advance()
                whole = job.count > 0
    except OSError as error:
        click.echo(f"gantry: {_unwritten(where, error)}", err=True)
        return EXIT_FAILED
    if not completed:
        click.echo(f"no workitem of {worklist.label} is scheduled", err=as_json)
        return 0
    code = _conclude(outcomes, where, whole, as_json)
    return code if all(completed) else EXIT_FAILED


async def _perform_one(
    worklist: ExportWorklist, claimed: Claimed, job: Export, outcomes: list[StudyExport], as_json: bool
) -> bool:
    """Perform one workitem; returns whether it is COMPLETED. A claimed workitem is completed or cancelled, whatever
    happens here."""
    own: list[StudyExport] = []
    failed = not_performable(claimed)
    try:
        if not failed:
            failed = "the export was interrupted"
            own = await job.run(claimed.studies, lambda outcome: _tell(outcome, as_json), may_raise=False)
            outcomes.extend(own)
            _finish(job, outcomes)  # COMPLETED means that the directory of media names it
            failed = ""
    except OSError as error:
        failed = f"the target cannot be written: {error.strerror or error}"
        raise
    finally:
        is_completed = await worklist.conclude(claimed, {outcome.study: outcome for outcome in own}, failed)
    return is_completed


async def _export(
    archive: DimseArchive,
    studies: Sequence[str],
    where: Path,
    deidentifier: Deidentifier | None,
    spool: Path | None,
    *,
    media: bool,
    as_json: bool,
) -> tuple[list[StudyExport], bool]:
    """The outcome of each study, and whether the target holds any objects."""
    with _opened(archive, where, deidentifier, spool, media=media) as job:
        outcomes = await _run(job, studies, as_json)
        _finish(job, outcomes)
        return outcomes, job.count > 0


@contextmanager
def _opened(
    archive: DimseArchive, where: Path, deidentifier: Deidentifier | None, spool: Path | None, *, media: bool
) -> Iterator[Export]:
    """An export that continues with the content of its target; the target is closed at the end."""
    anew = begins_anew(where)
    target: ExportTarget = ZipTarget(where) if anew else FolderTarget(where, _form(deidentifier, media))
    directory = Directory(new_uid()) if media else None
    names = MediaNames() if media else ReadableNames()
    job = Export(archive, target, names, deidentifier, directory, spool)
    whole = False
    try:
        job.resume(None if anew else where)
        yield job
        whole = job.count > 0
    finally:
        target.close(whole=whole)


def _finish(job: Export, outcomes: Sequence[StudyExport]) -> None:
    """Write the files that describe the content of the target."""
    left_out = sum(len(outcome.left_out) for outcome in outcomes)
    profile = job.deidentifier.profile if job.deidentifier is not None else None
    job.target.write("README.TXT", readme(job.count, left_out, profile, media=job.directory is not None).encode())
    if job.directory is not None:
        job.target.write("DICOMDIR", job.directory.encoded())


def _need_studies(
    studies: Sequence[str], keys: Sequence[str], worklist: str | None, where: Path, *, dry_run: bool
) -> None:
    if [bool(studies), bool(keys), worklist is not None].count(True) != 1:
        raise click.UsageError("name studies by their Study Instance UIDs, or select them by --key or --worklist")
    if worklist is not None and (dry_run or not worklist):
        raise click.UsageError("--worklist needs a label, and does not go with --dry-run: it claims workitems")
    if worklist is not None and begins_anew(where):
        raise click.UsageError("--worklist needs a folder: a new ZIP file would replace the studies of earlier runs")
    if wrong := [uid for uid in studies if not is_uid(uid)]:
        raise click.UsageError(f"{wrong[0]!r} is not a Study Instance UID")


def _deidentifier(
    options: Sequence[str], key_file: Path | None, patients: Path | None, pixels_checked: bool
) -> Deidentifier:
    key = key_file.read_bytes().strip() if key_file is not None else secrets.token_bytes(32)
    try:
        profile = profile_of(options, pixels_checked=pixels_checked)
        return Deidentifier(profile, Pseudonyms(key, _patients(patients) if patients is not None else None))
    except NotDeidentified as error:
        raise click.UsageError(str(error)) from None


def _patients(path: Path) -> dict[str, str]:
    try:
        return pseudonyms_in(path.read_text(encoding="utf-8-sig"))
    except NotDeidentified as error:
        raise click.UsageError(f"{path}: {error}") from None


def _form(deidentifier: Deidentifier | None, media: bool) -> dict[str, Any]:
    """The options that must be the same in every run into a folder. Of the key only a digest that reveals nothing."""
    if deidentifier is None:
        return {"media": media, "deidentified": None}
    profile = deidentifier.profile
    key = hmac.digest(deidentifier.pseudonyms.key, b"which key this is", "sha256").hex()[:16]
    return {
        "media": media,
        "deidentified": sorted(profile.options),
        "pixels_checked": profile.pixels_checked,
        "key": key,
    }


async def _compare(archive: DimseArchive, studies: Sequence[str], as_json: bool) -> int:
    missing = 0
    for study in studies:
        count = len(await archive.instances(study))
        missing += not count
        if as_json:
            print_json({"study": study, "instances": count})
        else:
            click.echo(f"{study}: {count} instances" if count else f"{study}: the archive does not have it")
    return EXIT_FAILED if missing else 0


async def _run(job: Export, studies: Sequence[str], as_json: bool) -> list[StudyExport]:
    with progress_bar("exporting", len(studies), quiet=as_json) as bar:

        def tell(outcome: StudyExport) -> None:
            bar.advance()
            _tell(outcome, as_json)

        return await job.run(studies, tell)


def _tell(outcome: StudyExport, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(outcome))
    elif outcome.reason:
        click.echo(f"failed {outcome.study}: {outcome.reason}", err=True)
    else:
        _tell_reasons("failed", outcome.study, outcome.failed)
        _tell_reasons("left out of", outcome.study, outcome.left_out)


def _tell_reasons(words: str, study: str, reasons: dict[str, str]) -> None:
    for reason in dict.fromkeys(reasons.values()):
        count = sum(1 for other in reasons.values() if other == reason)
        click.echo(f"{words} {study}: {count} instances: {reason}", err=True)


def _as_json(outcome: StudyExport) -> dict[str, Any]:
    return {
        "study": outcome.study, "instances": outcome.instances, "already": outcome.already,
        "exported": outcome.exported, "bytes": outcome.bytes, "left_out": outcome.left_out, "failed": outcome.failed,
        "reason": outcome.reason,
    }  # fmt: skip


def _conclude(outcomes: Sequence[StudyExport], where: Path, whole: bool, as_json: bool) -> int:
    counts = {
        "exported": sum(outcome.exported for outcome in outcomes),
        "already": sum(outcome.already for outcome in outcomes),
        "left_out": sum(len(outcome.left_out) for outcome in outcomes),
        "failed": sum(len(outcome.failed) for outcome in outcomes),
    }
    size = sum(outcome.bytes for outcome in outcomes)
    if as_json:
        print_json({"to": str(where) if whole else None, "studies": len(outcomes), "bytes": size, **counts})
    elif not whole:
        click.echo(f"gantry: nothing could be exported; {where} was not created", err=True)
    else:
        summary = f"{counts['exported']} instances exported, {counts['already']} were there already"
        click.echo(
            f"{summary}, {counts['left_out']} left out, {counts['failed']} failed; {size / 1e6:.1f} MB in {where}"
        )
    return 0 if all(outcome.is_whole for outcome in outcomes) else EXIT_FAILED
