"""`gantry commit`: ask an archive for storage commitment and wait for its report."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from gantry.cli.files import DicomFile, look, walk
from gantry.cli.identifiers import BOTH, decode, encode
from gantry.cli.output import json_option, print_json, print_table
from gantry.cli.peers import EXIT_FAILED, calls_a_peer
from gantry.common.dicom.standard.sop_classes import STORAGE_COMMITMENT
from gantry.common.dimse import CommandField
from gantry.common.ids import new_uid
from gantry.common.net import MemorySink, Peer, Request, Sink, connect, scu
from gantry.common.statuses import (
    CLASS_INSTANCE_CONFLICT,
    DUPLICATE_TRANSACTION_UID,
    NO_SUCH_OBJECT_INSTANCE,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
    UNRECOGNISED_OPERATION,
    status_words,
)
from gantry.common.ul import Ability

REASONS = {
    PROCESSING_FAILURE: "processing failure (damaged, conflicting, or not known yet: the archive's log says which)",
    NO_SUCH_OBJECT_INSTANCE: "no such object instance",
    CLASS_INSTANCE_CONFLICT: "class-instance conflict",
    SOP_CLASS_NOT_SUPPORTED: "SOP class not supported",
    DUPLICATE_TRANSACTION_UID: "duplicate transaction UID",
    RESOURCE_LIMITATION: "resource limitation",
}


class ReportService:
    """Receives N-EVENT-REPORTs of storage commitment (PS3.4 J.3.3), as the service class user."""

    def __init__(self) -> None:
        self.abilities = {STORAGE_COMMITMENT: Ability(frozenset(BOTH))}
        self.reports: asyncio.Queue[Dataset] = asyncio.Queue()

    def receive(self, request: Request) -> Sink:
        return MemorySink()

    async def perform(self, request: Request) -> None:
        if request.command.field != CommandField.N_EVENT_REPORT_RQ:
            await request.fail(UNRECOGNISED_OPERATION, "only N-EVENT-REPORT is served here")
            return
        self.reports.put_nowait(decode(request.data, request.context))
        await request.respond(SUCCESS)

    async def report_of(self, transaction_uid: str, timeout: float) -> Dataset | None:
        """The report of a transaction; None after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    report = await self.reports.get()
                    if report.get("TransactionUID") == transaction_uid:
                        return report
        except TimeoutError:
            return None


def action_information(transaction_uid: str, references: Sequence[tuple[str, str]]) -> Dataset:
    """PS3.4 table J.3-1: the transaction and (SOP class, SOP instance) of every object."""
    ds = Dataset()
    ds.TransactionUID = transaction_uid
    items = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        items.append(item)
    ds.ReferencedSOPSequence = DicomSequence(items)
    return ds


async def ask(
    peer: Peer, references: Sequence[tuple[str, str]], *, wait: float, timeout: float, transaction: str = ""
) -> tuple[int, str, Dataset | None]:
    """Request commitment and wait for the report on the same association. Returns status, transaction UID (a new one if
    none is given), report."""
    service = ReportService()
    transaction = transaction or new_uid()
    async with connect(peer, [(STORAGE_COMMITMENT, BOTH)], services=[service]) as association:
        context = scu.need_context(association, STORAGE_COMMITMENT)
        information = encode(action_information(transaction, references), context)
        response = await scu.request_commitment(association, information, timeout=timeout)
        if response.status:
            return response.status, transaction, None
        return 0, transaction, await service.report_of(transaction, wait)


@click.command()
@calls_a_peer
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--wait", default=180.0, show_default=True, help="Seconds to wait for the report; Gantry itself takes up to 120."
)
@json_option
async def commit(peer: Peer, paths: tuple[Path, ...], wait: float, as_json: bool, timeout: float) -> int:
    """Ask an archive to take responsibility for the objects in these files (storage commitment)."""
    files = [f for f in map(look, walk(paths)) if isinstance(f, DicomFile)]
    if not files:
        click.echo("gantry: no DICOM files to request commitment for", err=True)
        return EXIT_FAILED
    references = [(f.sop_class_uid, f.sop_instance_uid) for f in files]
    status, transaction, report = await ask(peer, references, wait=wait, timeout=timeout)
    if status:
        click.echo(f"gantry: the archive refused the request: {status_words(status)}", err=True)
        return EXIT_FAILED
    if report is None:
        click.echo(
            f"gantry: no report on this association within {wait:g} s; it may arrive on another; --wait waits longer",
            err=True,
        )
        return EXIT_FAILED
    failed = [(i.ReferencedSOPInstanceUID, int(i.FailureReason)) for i in report.get("FailedSOPSequence") or []]
    committed = len(report.get("ReferencedSOPSequence") or [])
    if as_json:
        rows = [{"sop_instance_uid": uid, "reason": f"{reason:04X}"} for uid, reason in failed]
        print_json({"transaction_uid": transaction, "committed": committed, "failed": rows})
    else:
        if failed:
            print_table(("SOP Instance UID", "reason"), [(uid, REASONS.get(why, f"{why:04X}H")) for uid, why in failed])
        click.echo(f"{committed} committed, {len(failed)} not")
    return EXIT_FAILED if failed or committed < len(set(references)) else 0
