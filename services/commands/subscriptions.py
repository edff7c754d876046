"""`gantry subscriptions`: the subscriptions to studies over FHIR, and their state."""

from __future__ import annotations

from pathlib import Path

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.config.settings import Settings
from gantry.common.errors import UndecodableEvent
from gantry.common.events import decode
from gantry.common.ports.log import EventLog
from gantry.common.runtime.followed_subscriptions import NOTIFICATIONS, SUBSCRIPTIONS
from gantry.common.subscriptions.fold import MOST_KEPT, Subscriptions
from gantry.common.subscriptions.resources import instant
from gantry.services.commands.on_stores import options, run
from gantry.services.process.stores import Stores

_COLUMNS = ("subscription", "by", "host", "status", "since", "ends", "events", "waiting", "why")


@click.command()
@options
def subscriptions(config: Path | None, data: Path | None, as_json: bool) -> None:
    """List the subscriptions over FHIR: status, number of events, and how many wait."""

    async def work(stores: Stores, settings: Settings) -> None:
        rows = []
        for name, subscription in (await _known(stores.log)).all():
            assert subscription.created is not None
            fields = {
                "subscription": name,
                "by": subscription.created.by,
                "host": subscription.created.host,
                "status": subscription.status.value,
                "since": instant(subscription.since),
                "ends": instant(subscription.created.ends_at),
                "events": subscription.number,
                "waiting": len(subscription.waiting(MOST_KEPT)),
                "why": subscription.reason,
            }
            if as_json:
                print_json(fields)
            rows.append(tuple(map(str, fields.values())))
        if not as_json and rows:
            print_columns(_COLUMNS, rows)
        if not rows and not as_json:
            click.echo("there are no subscriptions")

    run(config, data, work)


async def _known(log: EventLog) -> Subscriptions:
    known = Subscriptions()
    for topic in (SUBSCRIPTIONS, NOTIFICATIONS):
        async for record in log.replay(topic):
            try:
                known.apply(decode(record.payload))
            except UndecodableEvent:
                click.echo(f"an event of the topic {topic} cannot be read", err=True)
    return known
