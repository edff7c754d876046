"""`gantry webhooks`: how far each webhook is behind the log."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.config.settings import Settings
from gantry.services.commands.on_stores import options, run
from gantry.services.process.stores import Stores
from gantry.services.webhooks.app import group_of


@click.command()
@options
def webhooks(config: Path | None, data: Path | None, as_json: bool) -> None:
    """List the configured webhooks, and how many events each has not read yet."""

    async def work(stores: Stores, settings: Settings) -> None:
        rows = []
        for webhook in settings.webhooks:
            lag = await stores.log.lag(group_of(webhook))
            behind = sum(lag.values()) if lag else None
            # User, path and query of the URL may be secret.
            host = urlsplit(webhook.url).hostname or ""
            if as_json:
                print_json({"webhook": webhook.name, "host": host, "behind": behind})
            rows.append((webhook.name, host, "not begun" if behind is None else str(behind)))
        if not as_json and rows:
            print_columns(("webhook", "host", "events behind"), rows)
        if not rows and not as_json:
            click.echo("no webhooks are configured")

    run(config, data, work)
