"""`gantry workitems`: see, create, cancel and erase workitems, on an archive's own stores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import PATIENT_ID, SOP_INSTANCE_UID
from gantry.common.errors import GantryError
from gantry.common.ids import DEFAULT_PARTITION, is_uid, new_uid
from gantry.common.orders import Verdict, first
from gantry.common.telemetry.traces import new_trace
from gantry.common.web.errors import HttpProblem
from gantry.common.web.json_bodies import data_set
from gantry.common.workitems import Workitem, WorkitemState
from gantry.common.workitems.model import WORKLIST_LABEL
from gantry.common.workitems.questions import START
from gantry.services.commands.on_stores import options
from gantry.services.commands.ordering import OrderSession
from gantry.services.commands.ordering import work as on_orders
from gantry.services.commands.reasons import reason_option
from gantry.services.orders.workitems.desk import Asker, WorkitemDesk
from gantry.services.orders.workitems.documents import attributes_in, document_of
from gantry.services.orders.workitems.parameters import workitem_search

_COLUMNS = ("workitem", "state", "priority", "start", "worklist", "what", "patient")
_PRIORITY, _LABEL = TAGS["ScheduledProcedureStepPriority"], TAGS["ProcedureStepLabel"]
_WHY = TAGS["ReasonForCancellation"]
_uid = click.argument("uid", metavar="SOP_INSTANCE_UID")


@click.group()
def workitems() -> None:
    """See, create, cancel and erase workitems: tasks, and who has claimed them (docs/workitems.md)."""


@workitems.command("list")
@options
@click.option("-k", "keys", multiple=True, metavar="KEYWORD=VALUE", help="As parameters of GET /dicom-web/workitems.")
@click.option(
    "--state", help='Only in these states, separated by commas: SCHEDULED, "IN PROGRESS", COMPLETED, CANCELED.'
)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Workitems.")
def list_(
    config: Path | None, data: Path | None, as_json: bool, keys: tuple[str, ...], state: str | None, limit: int
) -> None:
    """List workitems by start time.

    \b
        gantry workitems list --state SCHEDULED -k WorklistLabel=LIVER
    """
    parameters = [(name, value) for name, _, value in (key.partition("=") for key in keys)]
    if any(name in ("limit", "offset") for name, _ in parameters):
        raise click.BadParameter("-k names attributes; --limit says how many")
    try:
        search = workitem_search([*parameters, *([("ProcedureStepState", state)] if state else [])])
    except (GantryError, HttpProblem) as error:
        raise click.BadParameter(str(error)) from error
    if search.warnings:
        raise click.BadParameter(search.warnings[0].removesuffix(", and was ignored."))

    async def act(opened: OrderSession) -> None:
        rows: list[Sequence[str]] = []
        left = limit
        async for page in opened.orders.find_workitems(search.query):
            for workitem in page[:left]:
                if as_json:
                    print_json(document_of(workitem))
                else:
                    rows.append(_row(workitem))
            left -= len(page[:left])
            if not left:
                break
        if not as_json:
            print_columns(_COLUMNS, rows)

    on_orders(config, data, act)


def _row(workitem: Workitem) -> Sequence[str]:
    texts = (first(workitem.attributes, tag) for tag in (_PRIORITY, START, WORKLIST_LABEL, _LABEL, PATIENT_ID))
    return workitem.uid, workitem.state.value, *texts


@workitems.command()
@options
@_uid
def show(config: Path | None, data: Path | None, as_json: bool, uid: str) -> None:
    """Show a workitem in the DICOM JSON model, without its Transaction UID."""

    async def act(opened: OrderSession) -> None:
        print_json(document_of(await _existing(opened, uid)))

    on_orders(config, data, act)


@workitems.command()
@options
@click.argument("files", nargs=-1, required=True, type=click.File("rb"))
def add(config: Path | None, data: Path | None, as_json: bool, files: tuple[Any, ...]) -> None:
    """Create workitems from files of the DICOM JSON model (`-` is standard input)."""
    made = []
    for file in files:
        try:
            attributes = attributes_in(data_set(json.load(file)))
        except (ValueError, GantryError) as error:
            raise click.BadParameter(f"{file.name}: {error}") from error
        uid = first(attributes, SOP_INSTANCE_UID) or new_uid()
        if not is_uid(uid):
            raise click.BadParameter(f"{file.name}: SOPInstanceUID is not a UID")
        made.append((uid, attributes))

    async def act(opened: OrderSession) -> None:
        for uid, attributes in made:
            _accepted(await _desk(opened).create(uid, attributes, _asker(opened)))
            click.echo(uid)

    on_orders(config, data, act)


@workitems.command()
@options
@_uid
@reason_option
def cancel(config: Path | None, data: Path | None, as_json: bool, uid: str, reason: str) -> None:
    """Request the cancellation of a workitem: an unclaimed workitem is cancelled; for a claimed one its performer
    decides."""

    async def act(opened: OrderSession) -> None:
        await _existing(opened, uid)
        _accepted(await _desk(opened).request_cancel(uid, {_WHY: [reason]}, _asker(opened)))
        workitem = await _existing(opened, uid)
        under_way = workitem.state is WorkitemState.IN_PROGRESS
        click.echo(
            "it is being performed; its performer decides" if under_way else f"the workitem is {workitem.state.value}"
        )

    on_orders(config, data, act)


@workitems.command()
@options
@_uid
@reason_option
@click.option("--even-in-progress", is_flag=True, help="Even if it is being performed.")
def erase(config: Path | None, data: Path | None, as_json: bool, uid: str, reason: str, even_in_progress: bool) -> None:
    """Erase a workitem for good: all values of its patient. Its UID and the reason stay."""

    async def act(opened: OrderSession) -> None:
        workitem = await _existing(opened, uid)
        if workitem.state is WorkitemState.IN_PROGRESS and not even_in_progress:
            raise click.ClickException("it is being performed; give --even-in-progress to erase it nevertheless")
        await _desk(opened).erase(uid, reason, _asker(opened))
        click.echo(f"workitem {uid} is erased")

    on_orders(config, data, act)


async def _existing(opened: OrderSession, uid: str) -> Workitem:
    """A workitem. Ends the command if there is none."""
    workitem = await opened.orders.workitem(DEFAULT_PARTITION, uid)
    if workitem is None:
        erased = await opened.orders.is_erased_workitem(DEFAULT_PARTITION, uid)
        raise click.ClickException(f"workitem {uid} was erased" if erased else f"there is no workitem {uid}")
    return workitem


def _desk(opened: OrderSession) -> WorkitemDesk:
    return WorkitemDesk(opened.desk)


def _asker(opened: OrderSession) -> Asker:
    return Asker(opened.source, new_trace())


def _accepted(verdict: Verdict[Workitem]) -> None:
    """Ends the command for a refusal."""
    if not verdict.accepted:
        raise click.ClickException(verdict.reason)
