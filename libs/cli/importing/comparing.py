"""`gantry inventory compare`: compares an archive with the list of an Inventory."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from gantry.cli.importing.archive import DimseArchive
from gantry.cli.importing.engine import Import, ImportOptions, note_studies
from gantry.cli.importing.job import ImportJob, StudyOutcome
from gantry.cli.importing.listed import InventoryListing
from gantry.cli.importing.model import Finding, compare_counts
from gantry.cli.importing.pace import TransferPace
from gantry.cli.output import json_option, print_csv, print_json, writable
from gantry.cli.peers import EXIT_FAILED, calls_a_peer
from gantry.common.clock import SystemClock
from gantry.common.dicom.inventory.records import InventoryLevel
from gantry.common.net import Peer

REPORT_HEAD = ("study", "kind", "series", "instance", "detail")
_KINDS = ("missing", "different", "extra", "failed")


@click.command()
@calls_a_peer
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every difference to this file (CSV).",
)
@click.option("--patience", default=600.0, show_default=True, help="Seconds to wait if the archive cannot be reached.")
@json_option
async def compare(
    peer: Peer, file: Path, report_path: Path | None, patience: float, as_json: bool, timeout: float
) -> int:
    """Compare an archive with an Inventory by C-FIND: report what is missing, different and extra there.

    The Inventory may be from any system; its parts must be in the same folder. Exit code 0 if nothing is missing, 1
    otherwise, 3 if the archive could not be queried or the Inventory could not be read.

    \b
        gantry inventory compare NEW@192.0.2.20:104 inventory.dcm --report differences.csv
    """
    writable(report_path)
    clock = SystemClock()
    today = datetime.fromtimestamp(clock.now_us() / 1e6).astimezone().date()
    with (
        TemporaryDirectory(prefix="gantry-inventory-") as folder,
        closing(ImportJob(Path(folder, "job.db"), str(file), peer.called_ae_title)) as job,
    ):
        target, listed = DimseArchive(peer, timeout, today), InventoryListing(file, job, None)
        await note_studies(job, listed, clock, patience)
        options = ImportOptions(dry_run=True, patience=patience)
        if listed.level is InventoryLevel.INSTANCE:
            await Import(job, listed, target, TransferPace(clock, None, None), clock, options, lambda *_: None).run()
        else:
            await _compare_counts(job, target)
        if not listed.limited:
            await _note_extra(job, listed, target)
        if report_path is not None:
            with report_path.open("w", newline="", encoding="utf-8") as report:
                print_csv(REPORT_HEAD, job.report(), report)
        return _conclude(job, listed.count, [*listed.doubts, *target.complete.doubts], as_json)


async def _compare_counts(job: ImportJob, target: DimseArchive) -> None:
    """Compare with an Inventory without instances: by the attributes of studies, and their number of instances."""
    for study in job.left(compared=True):
        same = await target.study(study.uid)
        stored_count = same.instances or 0 if same is not None else 0
        job.tell(
            study.uid,
            "compared",
            StudyOutcome(study.instances or 0, stored_count, findings=compare_counts(study, same)),
        )


async def _note_extra(job: ImportJob, listed: InventoryListing, target: DimseArchive) -> None:
    async for study in target.studies():
        if not listed.lists(study.uid):
            job.see(study)
            extra = [Finding("extra", "", "", "the whole study")]
            job.tell(study.uid, "compared", StudyOutcome(0, study.instances or 0, findings=extra))


def _conclude(job: ImportJob, listed: int, doubts: list[str], as_json: bool) -> int:
    totals = job.totals()
    failed, kinds = totals.states.get("failed", 0), totals.kinds
    if as_json:
        print_json(
            {
                "studies": totals.states,
                "listed": listed,
                "findings": kinds,
                "instances": totals.source,
                "doubts": doubts,
            }
        )
    else:
        summary = ", ".join(f"{kinds.get(kind, 0)} {kind}" for kind in _KINDS)
        click.echo(f"{listed} studies, {totals.source} instances in the inventory: {summary}")
        if not any(kinds.values()) and not failed:
            click.echo("equal: the archive has what the inventory lists")
        for doubt in doubts:
            click.echo(f"gantry: perhaps not all: {doubt}", err=True)
    return EXIT_FAILED if failed or kinds.get("missing") or kinds.get("failed") else 0
