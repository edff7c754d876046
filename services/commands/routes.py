"""`gantry routes`: lists what rules send, what waits and why; cancels and retries routes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import ConfigError, UndecodableEvent
from gantry.common.events import TOPICS, Event, RouteRequested, StudyCompleted, decode
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle.routes import (
    FAILED,
    MOVE,
    RouteLedger,
    RouteState,
    requests,
)
from gantry.common.ports.log import EventLog
from gantry.common.runtime.losses import instance_of
from gantry.services.commands.committing import commit
from gantry.services.commands.on_stores import options, run
from gantry.services.operations.route_decisions import give_up, send_again
from gantry.services.operations.route_words import WaitingTimes, because_of, open_state, what_goes
from gantry.services.operations.route_words import as_json as described
from gantry.services.process.searchable import searchable
from gantry.services.process.stores import Stores
from gantry.services.requester import this_user
from gantry.services.retrieve.routing.requesting import RouteRequests, route_rules, route_times
from gantry.services.retrieve.routing.work import works_of
from gantry.services.whereabouts.words import moment

_HEAD = ("route", "since", "study or step", "destination", "because of", "state", "left", "tries", "next", "why")
_names = click.argument("names", metavar="[ROUTE...]", nargs=-1)
_destination = click.option("--destination", metavar="AE", help="Only routes to this destination.")


@click.group()
def routes() -> None:
    """Studies that rules send, and C-MOVEs that are finished later: what waits, why and since when.

    Routes are listed for 30 days. A waiting route is retried automatically; a failed one is not.
    """


@routes.command("list")
@options
@_destination
@click.option("--all", "every", is_flag=True, help="Include routes that have ended.")
@click.option("--failed", is_flag=True, help="Only routes that failed, or withheld something.")
def list_routes(
    config: Path | None, data: Path | None, as_json: bool, destination: str | None, every: bool, failed: bool
) -> None:
    """List the routes that wait or are in progress, the oldest first."""

    async def work(stores: Stores, settings: Settings) -> None:
        ledger = await ledger_of(stores.log)
        listed = ledger.all() if every or failed else ledger.open()
        states = [state for state in listed if destination in (None, state.requested.destination)]
        states = [state for state in states if not failed or state.outcome == FAILED or state.withheld]
        waiting = WaitingTimes(route_times(settings.routing), SystemClock().now_us())
        if as_json:
            for state in states:
                print_json(described(state, waiting))
        elif states:
            print_columns(_HEAD, [_row(state, waiting) for state in states])
        else:
            click.echo("no routes" if every else "no route failed" if failed else "no routes wait")

    run(config, data, work, any_index=True)


@routes.command()
@options
@_names
@_destination
@click.option("--all", "every", is_flag=True, help="All waiting routes, instead of naming them.")
def cancel(
    config: Path | None, data: Path | None, as_json: bool, names: tuple[str, ...], destination: str | None, every: bool
) -> None:
    """Cancel waiting routes. A route in progress stops at the next object."""

    async def work(stores: Stores, settings: Settings) -> None:
        states = _chosen((await ledger_of(stores.log)).open(), names, destination, every)
        _say(as_json, "cancelled", await give_up(stores.log, SystemClock(), states, this_user()))

    run(config, data, work, any_index=True)


@routes.command()
@options
@_names
@_destination
@click.option("--all", "every", is_flag=True, help="All failed routes, instead of naming them.")
def retry(
    config: Path | None, data: Path | None, as_json: bool, names: tuple[str, ...], destination: str | None, every: bool
) -> None:
    """Send failed or cancelled routes again: a new route, with the objects that are not known to have arrived."""

    async def work(stores: Stores, settings: Settings) -> None:
        ended = [state for state in (await ledger_of(stores.log)).all() if state.outcome]
        of_all = [state for state in ended if state.outcome == FAILED] if every else ended
        states = _chosen(of_all, names, destination, every)
        _say(as_json, "requested", await send_again(stores.log, SystemClock(), states, this_user()))

    run(config, data, work, any_index=True)


@routes.command()
@options
@click.argument("study", metavar="UID")
def check(config: Path | None, data: Path | None, as_json: bool, study: str) -> None:
    """Show where a study would be sent if it were complete now, who would be notified, which workitem would be created,
    and by which rule. Sends and creates nothing."""

    async def work(stores: Stores, settings: Settings) -> None:
        rules = route_rules(settings.routing, searchable(settings))
        handler = RouteRequests(rules, stores.log, stores.index, SystemClock())
        completed, works = await _as_completed(stores, study), works_of(settings.routing.rules)
        matching = await handler.matching(completed)
        routes = requests(completed, matching, SystemClock().now_us())
        wanted = [works[rule.name] for rule in matching if rule.name in works]
        if as_json:
            for route in routes:
                kind = route.kind or "objects"
                fields = {"destination": route.destination, "kind": kind, "rule": route.rule}
                print_json({**fields, "deidentified_by": route.deidentify or None})
            for workitem in wanted:
                print_json({"worklist_label": workitem.worklist_label, "kind": "workitem", "rule": workitem.rule})
        elif routes or wanted:
            receivers = {receiver.name for receiver in settings.routing.receivers}
            words = ["an HL7 message" if route.destination in receivers else what_goes(route) for route in routes]
            rows = [(route.destination, content, route.rule) for route, content in zip(routes, words, strict=True)]
            rows += [(work.worklist_label, "a workitem", work.rule) for work in wanted]
            print_columns(("destination", "what", "rule"), rows)
        else:
            click.echo("no rule sends it anywhere")

    run(config, data, work)


routes.add_command(commit)


async def ledger_of(log: EventLog) -> RouteLedger:
    """All routes on the log. Raises `DependencyUnavailable`."""
    ledger = RouteLedger()
    async for record in log.replay(TOPICS[RouteRequested].name):
        event: Event
        try:
            event = decode(record.payload)
        except UndecodableEvent:
            continue  # of a newer release
        ledger.take(event)
    return ledger


async def _as_completed(stores: Stores, study: str) -> StudyCompleted:
    """A completion event of a study, as if all of it had just arrived, from all its senders."""
    query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
    locations = [location async for page in stores.index.locate(query) for location in page]
    if not locations:
        raise ConfigError(study, None, "no such study")
    receipts = await stores.index.receipts_of(DEFAULT_PARTITION, [instance_of(location) for location in locations])
    senders = sorted({receipt.sender for group in receipts.values() for receipt in group} - {""})
    count = len(locations)
    return StudyCompleted(DEFAULT_PARTITION, "", study, "quiet", count, count, "", "", 0, tuple(senders))


def _chosen(
    states: Sequence[RouteState], names: Sequence[str], destination: str | None, every: bool
) -> list[RouteState]:
    if not names and not every and destination is None:
        raise click.UsageError("name routes, or give --all or --destination")
    wanted = [state for state in states if destination in (None, state.requested.destination)]
    if not names:
        return wanted
    matches = [state for state in wanted if any(state.requested.route.startswith(name) for name in names)]
    missing = [name for name in names if not any(state.requested.route.startswith(name) for state in matches)]
    if missing:
        raise ConfigError(missing[0], None, "no such route, or its state does not allow that")
    return matches


def _say(as_json: bool, label: str, names: Sequence[str]) -> None:
    if as_json:
        print_json({label: list(names)})
    else:
        click.echo(f"{label}: {len(names)}" + "".join(f"\n  {name}" for name in names))


def _state(state: RouteState, opens: int) -> str:
    if state.outcome:
        by = f" by {state.by}" if state.by else ""
        withheld = f", {state.withheld} withheld" if state.withheld else ""
        return f"{state.outcome}{by}" + (f", {state.failed} not taken" if state.failed else "") + withheld
    return open_state(state, opens)


def _where(route: RouteRequested) -> str:
    kind = route.kind if route.kind != MOVE else ""
    words = [kind, f"de-identified by {route.deidentify}" if route.deidentify else ""]
    details = ", ".join(word for word in words if word)
    return f"{route.destination} ({details})" if details else route.destination


def _row(state: RouteState, waiting: WaitingTimes) -> tuple[str, ...]:
    route = state.requested
    return (
        route.route[:12],
        moment(route.at),
        route.study_instance_uid,
        _where(route),
        because_of(route),
        _state(state, waiting.opens(state)),
        "" if state.left is None else f"{state.left} of {route.asked}",
        str(state.attempts),
        waiting.next(state),
        state.why,
    )
