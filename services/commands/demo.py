"""`gantry demo`: the whole archive at work on real files, and every byte compared.

Starts an archive in a temporary folder and a second AE, and performs over real associations what a hospital does:
store, search at every level, fetch (C-GET), move (C-MOVE), storage commitment.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import pydicom.data
import uvloop

from gantry.cli.files import Skipped, look, walk
from gantry.cli.output import print_table
from gantry.cli.retrieve import FolderService
from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.errors import GantryError, RefusedDataSet
from gantry.common.net import Association, Peer, Server
from gantry.common.telemetry.logs import set_up_logs
from gantry.common.ul import AssociateReject, AssociateRequest
from gantry.services.commands.demo_steps import THEM, US, DemoObject, DemoReport, DemoRun, data_set, made
from gantry.services.process.archive import Archive
from gantry.services.roles import EVERY


class _Quiet:
    """The second AE's observer, which logs nothing, and its admission, which admits everybody."""

    def admit(self, request: AssociateRequest, peer_address: str, tls: bool, certificate: str) -> None:
        return None

    def opened(self, association: Association) -> None: ...

    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None: ...

    def failed(self, peer_address: str, why: str, certificate: str = "") -> None: ...

    def message(self, association: Association, field: int, seconds: float) -> None: ...

    def closed(self, association: Association, outcome: str) -> None: ...


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
def demo(paths: tuple[Path, ...]) -> None:
    """Store, find, get, move and commit real files against a temporary archive, comparing every byte.

    Uses pydicom's bundled samples and any files and folders given.
    """
    set_up_logs("console", "error")
    samples = Path(pydicom.data.__file__).parent / "test_files"
    objects, left_out = _choose([*walk([samples]), *walk(paths)])
    for skipped in left_out:
        if any(path in skipped.path.parents or path == skipped.path for path in paths):
            click.echo(f"left out {skipped.path}: {skipped.reason}", err=True)
    click.echo(f"{len(objects)} objects to work with ({len(left_out)} files left out: no UIDs, or the same UID again)")
    with tempfile.TemporaryDirectory(prefix="gantry-demo-") as folder:
        report = uvloop.run(_demo(Path(folder), objects))
    print_table(("step", "objects", "result"), report.rows)
    for difference in report.differences:
        click.echo(f"gantry: {difference}", err=True)
    if not report.differences:
        click.echo("every data set came back byte for byte")
    sys.exit(1 if report.differences else 0)


def _choose(paths: Sequence[Path]) -> tuple[list[DemoObject], list[Skipped]]:
    """The files that an archive can store, one per SOP Instance UID."""
    objects: dict[str, DemoObject] = {}
    left_out: list[Skipped] = []
    for path in paths:
        file = look(path)
        if isinstance(file, Skipped):
            left_out.append(file)
            continue
        try:
            scanner = Scanner(file.transfer_syntax_uid)
            scanner.feed(data_set(path, file.offset))
            scan = scanner.finish()
        except RefusedDataSet as error:
            left_out.append(Skipped(path, str(error)))
            continue
        agrees = (scan.sop_class_uid, scan.sop_instance_uid) == (file.sop_class_uid, file.sop_instance_uid)
        if not agrees or scan.sop_instance_uid in objects:
            left_out.append(Skipped(path, "the same UID again" if agrees else "its file meta disagrees"))
            continue
        objects[scan.sop_instance_uid] = DemoObject(file, scan)
    return list(objects.values()), left_out


async def _demo(folder: Path, objects: list[DemoObject]) -> DemoReport:
    moved = FolderService(made(folder / "moved"), list({o.file.sop_class_uid for o in objects}))
    destination = Server([moved], _Quiet(), _Quiet())
    port = await destination.start("127.0.0.1", 0)
    config = folder / "gantry.yaml"
    config.write_text(
        f"peers:\n  - {{ae_title: {US}, host: 127.0.0.1, may: [store, find, retrieve, commit, echo]}}\n"
        f"  - {{ae_title: {THEM}, host: 127.0.0.1, port: {port}, move_destination: true}}\n"
    )
    overrides = {"data": folder / "data", "dimse.port": 0, "dimse.host": "127.0.0.1", "http.port": 0}
    settings = load_settings(config, {}, {**overrides, "http.host": "127.0.0.1", "drain": 2.0})
    archive = Archive(settings, EVERY, config, SystemClock())
    running = asyncio.create_task(archive.run())
    report = DemoReport()
    try:
        while archive.dimse_port is None and not running.done():
            await archive.clock.sleep(0.01)
        if archive.dimse_port is None:
            raise click.ClickException("the archive did not start")
        peer = Peer("127.0.0.1", archive.dimse_port, settings.dimse.ae_title, US)
        await DemoRun(peer, folder, objects, moved, archive.clock).steps(report)
    except* GantryError as group:
        report.differences += [str(error) for error in group.exceptions]
    finally:
        archive.lifecycle.ask_to_stop()
        await running
        await destination.drain(1.0)
    return report
