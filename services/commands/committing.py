"""`gantry routes commit`: request storage commitment from a destination for studies, whenever they were sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import click
from blake3 import blake3

from gantry.cli.output import print_json
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.query.where import studies_where
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import ConfigError, NotUnderstood
from gantry.common.events import RouteRequested
from gantry.common.ids import DEFAULT_PARTITION, receipt_in_key
from gantry.common.lifecycle.routes import COMMITMENT, deidentifying
from gantry.common.ports.index import ReadIndex
from gantry.common.telemetry.traces import new_trace
from gantry.services.commands.on_stores import options, run
from gantry.services.process.searchable import searchable
from gantry.services.process.stores import Stores
from gantry.services.requester import this_user

_AT_ONCE = 500
_RULE = "by hand"


@click.command()
@options
@click.argument("studies", metavar="[UID...]", nargs=-1)
@click.option("--to", "destination", required=True, metavar="AE", help="AE title of the destination.")
@click.option("--where", "conditions", multiple=True, metavar="KEY=VALUE", help="Condition on studies; all must hold.")
def commit(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    studies: tuple[str, ...],
    destination: str,
    conditions: tuple[str, ...],
) -> None:
    """Request storage commitment from a destination for studies, even for those sent long ago.

    Objects that the destination does not have are sent, and commitment is requested again. `gantry routes list` shows
    the result.
    """
    if bool(studies) == bool(conditions):
        raise click.UsageError("name studies, or give --where KEY=VALUE")

    async def work(stores: Stores, settings: Settings) -> None:
        if not settings.routing.rules:
            raise ConfigError("routing.rules", None, "no process sends routes: there is no rule")
        made = 0
        waiting: list[RouteRequested] = []
        async for study in _studies(stores, settings, studies, conditions):
            route = await commitment_of(stores.index, study, destination, SystemClock().now_us())
            waiting.append(deidentifying(route, settings.routing.deidentifies.get(destination, "")))
            if len(waiting) == _AT_ONCE:
                await stores.log.append(*waiting)
                made, waiting = made + len(waiting), []
        if waiting:
            await stores.log.append(*waiting)
        made += len(waiting)
        if as_json:
            print_json({"requested": made})
        else:
            click.echo(f"requested: {made}")

    run(config, data, work)


async def commitment_of(index: ReadIndex, study: str, destination: str, now_us: int) -> RouteRequested:
    """A route that requests commitment for all instances of a study. Raises `ConfigError` if there are none."""
    query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})
    receipts: list[str] = []
    async for page in index.locate(query):
        known = [receipt_in_key(location.object_key) for location in page]
        receipts += [receipt.id for receipt in known if receipt is not None]
    if not receipts:
        raise ConfigError(study, None, "no such study")
    name = blake3(f"{study} {destination} {now_us}".encode()).hexdigest()[:32]
    return RouteRequested(
        *(DEFAULT_PARTITION, new_trace(), study, name, _RULE, destination, min(receipts), max(receipts), now_us),
        by=this_user(),
        kind=COMMITMENT,
        asked=len(receipts),
        commits=True,
    )


async def _studies(
    stores: Stores, settings: Settings, studies: Sequence[str], conditions: Sequence[str]
) -> AsyncIterator[str]:
    for study in studies:
        yield study
    if conditions:
        try:
            query = studies_where(conditions, DEFAULT_PARTITION, searchable(settings))
        except NotUnderstood as error:
            raise click.BadParameter(str(error), param_hint="--where") from error
        async for page in stores.index.find(query):
            for document in page:
                yield str(document.attributes[STUDY_INSTANCE_UID][0])
