"""`gantry export`."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gantry.cli.exporting.directory import Directory
from gantry.cli.exporting.engine import Export, StudyExport
from gantry.cli.exporting.names import MediaNames, ReadableNames
from gantry.cli.exporting.readme import readme
from gantry.cli.exporting.target import FolderTarget, Target, ZipTarget
from gantry.cli.exporting.workitems import ExportWorklist
from gantry.cli.importing.archive import Archive
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
    help="The studies of workitems (UPS) with this Worklist Label, which are claimed, and completed in the end.",
)
@click.option(
    "--to",
    "where",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER|FILE.zip",
    help="A folder, with which a later run goes on; or a ZIP file.",
)
@click.option("--media", is_flag=True, help="As DICOM media: a DICOMDIR, and names of eight characters.")
@click.option("--deidentify", is_flag=True, help="Without what identifies anybody (PS3.15 Annex E).")
@click.option(
    "--retain", multiple=True, type=click.Choice([option.value for option in RETAINED]), help="Keep this all the same."
)
@click.option(
    "--clean",
    multiple=True,
    type=click.Choice([option.value for option in CLEANED]),
    help="Keep this after cleaning; else it goes.",
)
@click.option(
    "--key-file",
    type=_FILE,
    help="The key that pseudonyms are made with, 16 bytes or more; without it they are different in each export.",
)
@click.option("--patients", type=_FILE, help="Pseudonyms of patients: a CSV file of Patient ID and pseudonym.")
@click.option(
    "--pixels-checked",
    is_flag=True,
    help="I have looked at the images: export also those that may have names burned in.",
)
@click.option("--dry-run", is_flag=True, help="Count only: what is there, and what would be exported.")
@click.option(
    "--spool",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Where files lie on their way; default: the system's folder for temporary files.",
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
    """Take studies out of an archive: into a folder, a ZIP file, or as DICOM media.

    Run it again with the same folder to go on, and to add what is new.

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
    _need_studies(studies, keys, worklist, dry_run=dry_run)
    deidentifier = _deidentifier((*retain, *clean), key_file, patients, pixels_checked) if deidentify else None
    today = datetime.fromtimestamp(SystemClock().now_us() / 1e6).astimezone().date()
    archive = Archive(peer, timeout, today, keys)
    if worklist is not None:
        asked = ExportWorklist(peer, worklist, timeout)
        return await _perform(asked, archive, where, deidentifier, spool, media=media, as_json=as_json)
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
    archive: Archive,
    where: Path,
    deidentifier: Deidentifier | None,
    spool: Path | None,
    *,
    media: bool,
    as_json: bool,
) -> int:
    """Export what workitems ask for. Each that was claimed is completed or cancelled, whatever happens here."""
    claimed = await worklist.claim()
    chosen = list(dict.fromkeys(uid for one in claimed for uid in one.studies))
    if not claimed:
        click.echo(f"no workitem of {worklist.label} is scheduled", err=as_json)
        return 0
    outcomes: list[StudyExport] = []
    failed, whole = "the export broke off", False
    try:
        if chosen:
            outcomes, whole = await _export(archive, chosen, where, deidentifier, spool, media=media, as_json=as_json)
        failed = ""
    except OSError as error:
        failed = _unwritten(where, error)
        click.echo(f"gantry: {failed}", err=True)
        return EXIT_FAILED
    finally:
        await worklist.conclude(claimed, {outcome.study: outcome for outcome in outcomes}, failed)
    code = _conclude(outcomes, where, whole, as_json)
    return code if all(one.studies for one in claimed) else EXIT_FAILED


async def _export(
    archive: Archive,
    studies: Sequence[str],
    where: Path,
    deidentifier: Deidentifier | None,
    spool: Path | None,
    *,
    media: bool,
    as_json: bool,
) -> tuple[list[StudyExport], bool]:
    """What became of each study, and whether there is anything in the target."""
    is_zip = where.suffix.lower() == ".zip"
    target: Target = ZipTarget(where) if is_zip else FolderTarget(where, _form(deidentifier, media))
    directory = Directory(new_uid()) if media else None
    names = MediaNames() if media else ReadableNames()
    job = Export(archive, target, names, deidentifier, directory, spool)
    whole = False
    try:
        job.resume(None if is_zip else where)
        outcomes = await _run(job, studies, as_json)
        left_out = sum(len(outcome.left_out) for outcome in outcomes)
        profile = deidentifier.profile if deidentifier is not None else None
        target.write("README.TXT", readme(job.count, left_out, profile, media=media).encode())
        if directory is not None:
            target.write("DICOMDIR", directory.encoded())
        whole = job.count > 0
    finally:
        target.close(whole=whole)
    return outcomes, whole


def _need_studies(studies: Sequence[str], keys: Sequence[str], worklist: str | None, *, dry_run: bool) -> None:
    if [bool(studies), bool(keys), worklist is not None].count(True) != 1:
        raise click.UsageError("name studies by their Study Instance UIDs, or say with --key or --worklist which ones")
    if worklist is not None and (dry_run or not worklist):
        raise click.UsageError("--worklist needs a label, and claims workitems: it has no --dry-run")
    if wrong := [uid for uid in studies if not is_uid(uid)]:
        raise click.UsageError(f"{wrong[0]!r} is no Study Instance UID")


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
    """What must be the same in every run into a folder. Of the key only what nothing follows from."""
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


async def _compare(archive: Archive, studies: Sequence[str], as_json: bool) -> int:
    missing = 0
    for study in studies:
        count = len(await archive.instances(study))
        missing += not count
        if as_json:
            print_json({"study": study, "instances": count})
        else:
            click.echo(f"{study}: {count} instances" if count else f"{study}: the archive has nothing of it")
    return EXIT_FAILED if missing else 0


async def _run(job: Export, studies: Sequence[str], as_json: bool) -> list[StudyExport]:
    with progress_bar("exporting", len(studies), quiet=as_json) as bar:

        def tell(outcome: StudyExport) -> None:
            bar.advance()
            if as_json:
                print_json(_as_json(outcome))
            elif outcome.reason:
                click.echo(f"failed {outcome.study}: {outcome.reason}", err=True)
            else:
                _tell_reasons("failed", outcome.study, outcome.failed)
                _tell_reasons("left out of", outcome.study, outcome.left_out)

        return await job.run(studies, tell)


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
        click.echo(f"gantry: nothing could be exported; there is no {where}", err=True)
    else:
        said = f"{counts['exported']} instances exported, {counts['already']} were there already"
        click.echo(f"{said}, {counts['left_out']} left out, {counts['failed']} failed; {size / 1e6:.1f} MB in {where}")
    return 0 if all(outcome.is_whole for outcome in outcomes) else EXIT_FAILED
