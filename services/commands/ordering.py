"""`gantry orders`: see, place, change, cancel and erase orders, on an archive's own stores."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.dicom.standard.tags import (
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    SCHEDULED_PROCEDURE_STEP_ID,
    SCHEDULED_PROCEDURE_STEP_START_DATE,
    SCHEDULED_PROCEDURE_STEP_START_TIME,
    SCHEDULED_STATION_AE_TITLE,
)
from gantry.common.errors import Conflicting, GantryError, Held, NotFound, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION, new_uid
from gantry.common.lifecycle.correctable import element_of
from gantry.common.orders import (
    Order,
    OrderCancellation,
    OrderChange,
    PlacedOrder,
    StepState,
    Verdict,
    first,
    order_key,
)
from gantry.common.ports.orders import OrderIndex
from gantry.common.runtime.followed_orders import FollowedOrders
from gantry.common.runtime.protection import Protection
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.traces import new_trace
from gantry.common.web.json_bodies import data_set
from gantry.services.commands.on_stores import options, run
from gantry.services.commands.reasons import reason_option
from gantry.services.corrections import CorrectionDesk
from gantry.services.orders.desk import OrderDesk
from gantry.services.orders.erasing import OrderErasing
from gantry.services.orders.linking import StudyLinking
from gantry.services.orders.web.documents import changed_attributes, document_of, entry_of, placed_attributes
from gantry.services.orders.web.parameters import order_search
from gantry.services.process.stores import Stores, open_orders
from gantry.services.requester import Requester, this_user

_COLUMNS = ("order", "patient", "name", "station", "start", "modality", "step", "state")


@dataclass(frozen=True, slots=True)
class OrderSession:
    """The tools of a command: the projection, which is up to date, and the desks."""

    desk: OrderDesk
    linking: StudyLinking
    erasing: OrderErasing
    orders: OrderIndex
    source: str

    async def existing(self, key: str) -> tuple[Order, Mapping[str, StepState]]:
        """An order and the states of its steps. Ends the command if there is none."""
        order = await self.orders.order(DEFAULT_PARTITION, key)
        if order is None:
            raise click.ClickException(f"there is no order {key}")
        return order

    async def shown(self, verdict: Verdict[Order]) -> None:
        """Print the order after a verdict. Ends the command for a refusal."""
        if not verdict.accepted or verdict.state is None:
            raise click.ClickException(verdict.reason)
        print_json(document_of(*await self.existing(verdict.state.key)))

    async def changed(self, linking: Awaitable[Verdict[Order]]) -> None:
        """Print the order after one of its studies was linked or unlinked. Ends the command if that was refused."""
        try:
            verdict = await linking
        except (Conflicting, NotFound, NotUnderstood) as error:
            raise click.ClickException(str(error)) from error
        await self.shown(verdict)


@asynccontextmanager
async def session(stores: Stores, settings: Settings) -> AsyncIterator[OrderSession]:
    """Open a session; reads all orders first, as a process of the role does."""
    clock, metrics = SystemClock(), Metrics()
    followed = FollowedOrders(open_orders, stores.objects, stores.log, clock, metrics)
    try:
        orders, follower = followed.begin()
        await follower.caught_up()
        desk = OrderDesk(stores.objects, stores.log, follower, clock, settings.orders.verdict_within)
        linking = StudyLinking(desk, CorrectionDesk(stores.objects, stores.log, stores.index, clock), orders)
        erasing = OrderErasing(desk, orders, Protection(stores.log, stores.index, clock), metrics)
        yield OrderSession(desk, linking, erasing, orders, f"cli {this_user()}")
    finally:
        await followed.close()


def work(config: Path | None, data: Path | None, act: Callable[[OrderSession], Awaitable[None]]) -> None:
    async def on_stores(stores: Stores, settings: Settings) -> None:
        async with session(stores, settings) as opened:
            await act(opened)

    run(config, data, on_stores)


def assigned(texts: tuple[str, ...]) -> dict[str, Any]:
    """`KEYWORD=VALUE` as elements of the DICOM JSON model; an attribute without a value is removed."""
    document: dict[str, Any] = {}
    for text in texts:
        keyword, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not KEYWORD=VALUE")
        try:
            name, element = element_of(keyword, value.split("\\") if value else [])
        except NotUnderstood as error:
            raise click.BadParameter(str(error)) from error
        document[name] = element
    return document


@click.group()
def orders() -> None:
    """See, place, change, cancel and erase orders, and link studies to them (docs/orders.md)."""


@orders.command("list")
@options
@click.option("-k", "keys", multiple=True, metavar="KEYWORD=VALUE", help="As parameters of GET /dicom-web/orders.")
@click.option("--state", help="Only steps in these states, separated by commas.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Steps.")
def list_(
    config: Path | None, data: Path | None, as_json: bool, keys: tuple[str, ...], state: str | None, limit: int
) -> None:
    """List scheduled steps with their orders, by start time."""
    parameters = [tuple(key.partition("=")[::2]) for key in keys] + ([("state", state)] if state else [])
    try:
        query = order_search([(name, value) for name, value in parameters]).query
    except GantryError as error:
        raise click.BadParameter(str(error)) from error

    async def act(opened: OrderSession) -> None:
        steps = []
        async for page in opened.orders.find(query):
            steps += page
            if len(steps) >= limit:
                break
        if as_json:
            for step in steps[:limit]:
                print_json({"order": step.order, "state": step.state.value})
            return
        print_columns(
            _COLUMNS, [_row(step.order, step.attributes, step.step, step.state.value) for step in steps[:limit]]
        )

    work(config, data, act)


def _row(key: str, attributes: Mapping[int, list[Any]], step: Mapping[int, list[Any]], state: str) -> list[str]:
    day, time = first(step, SCHEDULED_PROCEDURE_STEP_START_DATE), first(step, SCHEDULED_PROCEDURE_STEP_START_TIME)
    of_order = key, first(attributes, PATIENT_ID), first(attributes, PATIENT_NAME)
    of_step = (first(step, tag) for tag in (MODALITY, SCHEDULED_PROCEDURE_STEP_ID))
    return [*of_order, first(step, SCHEDULED_STATION_AE_TITLE), f"{day} {time}".strip(), *of_step, state]


@orders.command()
@options
@click.argument("key")
@click.option("--history", is_flag=True, help="Show its changes, who requested them, and which were refused.")
def show(config: Path | None, data: Path | None, as_json: bool, key: str, history: bool) -> None:
    """Show an order, in the DICOM JSON model."""

    async def act(opened: OrderSession) -> None:
        order = await opened.existing(key)
        if history:
            for change in await opened.orders.history(DEFAULT_PARTITION, key):
                print_json(entry_of(change))
            return
        print_json(document_of(*order))

    work(config, data, act)


@orders.command()
@options
@click.argument("files", nargs=-1, required=True, type=click.File("rb"))
def add(config: Path | None, data: Path | None, as_json: bool, files: tuple[Any, ...]) -> None:
    """Place orders from files of the DICOM JSON model (`-` is standard input)."""
    placed = []
    for file in files:
        try:
            attributes = placed_attributes(data_set(json.load(file)), new_uid)
        except (ValueError, GantryError) as error:
            raise click.BadParameter(f"{file.name}: {error}") from error
        key = order_key(attributes)
        if not key:
            raise click.BadParameter(f"{file.name}: no accession number, filler order number or requested procedure id")
        placed.append((key, attributes))

    async def act(opened: OrderSession) -> None:
        for key, attributes in placed:
            await opened.shown(await opened.desk.place(PlacedOrder(key, attributes, opened.source)))

    work(config, data, act)


@orders.command()
@options
@click.argument("key")
@click.argument("values", metavar="KEYWORD=VALUE...", nargs=-1, required=True)
@click.option("--step", metavar="ID", help="Set attributes of this step (Scheduled Procedure Step ID).")
def change(
    config: Path | None, data: Path | None, as_json: bool, key: str, values: tuple[str, ...], step: str | None
) -> None:
    """Set attributes of an order, or of one of its steps; an attribute without a value is removed.

    \b
        gantry orders change A4711 ScheduledProcedureStepStartDate=20260106 --step S1
    """
    document = assigned(values)
    try:
        attributes, _ = changed_attributes(document)
    except NotUnderstood as error:
        raise click.BadParameter(str(error)) from error

    async def act(opened: OrderSession) -> None:
        await opened.existing(key)
        change = OrderChange(key, {} if step else attributes, opened.source, {step: attributes} if step else {})
        await opened.shown(await opened.desk.change(change))

    work(config, data, act)


@orders.command()
@options
@click.argument("key")
@reason_option
@click.option("--step", "steps", metavar="ID", multiple=True, help="Only this step; may be given several times.")
def cancel(
    config: Path | None, data: Path | None, as_json: bool, key: str, reason: str, steps: tuple[str, ...]
) -> None:
    """Cancel an order, or some of its steps."""

    async def act(opened: OrderSession) -> None:
        await opened.existing(key)
        await opened.shown(await opened.desk.cancel(OrderCancellation(key, opened.source, steps, reason)))

    work(config, data, act)


@orders.command()
@options
@click.argument("key")
@reason_option
def erase(config: Path | None, data: Path | None, as_json: bool, key: str, reason: str) -> None:
    """Erase an order for good: all values of its patient, in the order and in its performed steps. Its key and the
    reason stay."""

    async def act(opened: OrderSession) -> None:
        try:
            await opened.erasing.erase(key, opened.source, reason)
        except (Conflicting, Held, NotFound) as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"order {key} is erased")

    work(config, data, act)


@orders.command("erase-step")
@options
@click.argument("uid", metavar="SOP_INSTANCE_UID")
@reason_option
def erase_step(config: Path | None, data: Path | None, as_json: bool, uid: str, reason: str) -> None:
    """Erase a performed procedure step without an order; others are erased with their orders."""

    async def act(opened: OrderSession) -> None:
        try:
            await opened.erasing.erase_performed(uid, opened.source, reason)
        except (Conflicting, Held, NotFound) as error:
            raise click.ClickException(str(error)) from error
        click.echo(f"performed procedure step {uid} is erased")

    work(config, data, act)


@orders.command()
@options
@click.argument("key")
@click.argument("study")
@reason_option
def link(config: Path | None, data: Path | None, as_json: bool, key: str, study: str, reason: str) -> None:
    """Link a study to an order, if its images came before the order, or without one, or the wrong worklist entry was
    chosen. The study shows patient, accession number and request of the order from then on.

    \b
        gantry orders link A4711 1.2.3 --reason "wrong worklist entry"
    """

    async def act(opened: OrderSession) -> None:
        requester = Requester(this_user(), reason, new_trace())
        await opened.changed(opened.linking.link(key, study, requester, opened.source))

    work(config, data, act)


@orders.command()
@options
@click.argument("key")
@click.argument("study")
@reason_option
def unlink(config: Path | None, data: Path | None, as_json: bool, key: str, study: str, reason: str) -> None:
    """Undo a link: the study shows its previous values again."""

    async def act(opened: OrderSession) -> None:
        requester = Requester(this_user(), reason, new_trace())
        await opened.changed(opened.linking.unlink(key, study, requester, opened.source))

    work(config, data, act)
