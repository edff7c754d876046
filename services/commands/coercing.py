"""`gantry coerce --dry-run`: what the coercion rules would change in files, or in stored objects."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from gantry.cli.files import DicomFile, look, walk
from gantry.cli.output import print_columns, print_json
from gantry.common.clock import SystemClock
from gantry.common.config.load import load_settings
from gantry.common.config.settings import Settings
from gantry.common.dicom.encoding.values import leading_values
from gantry.common.dicom.query.where import studies_where
from gantry.common.dicom.standard.dictionary import keyword_of_tag
from gantry.common.errors import ConfigError, GantryError, NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle.coercing import CoercionResult, CoercionRules
from gantry.common.lifecycle.coercion_rules import coercion_rules
from gantry.common.lifecycle.from_orders import OrderOutcome
from gantry.common.ports.blobs import Part
from gantry.common.ports.index import InstanceKey, Location
from gantry.common.runtime.followed_orders import FollowedOrders
from gantry.common.runtime.order_finding import OrderFinder, answers_of
from gantry.common.telemetry.metrics import Metrics
from gantry.services.commands.on_stores import options, run
from gantry.services.process.searchable import searchable
from gantry.services.process.stores import Stores, open_orders

_HEAD = 4 << 20
"""Bytes of a data set that are read: as many as ingest examines (`gantry.services.ingest.object_sink`)."""
_PATIENCE = 5.0
_OUTCOMES = {OrderOutcome.NONE: "no order", OrderOutcome.SEVERAL: "several orders", OrderOutcome.AWAY: "orders away"}


@click.command()
@options
@click.argument("paths", metavar="[FILE…]", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--dry-run", is_flag=True, help="List what would be changed; required, since rules only apply to arriving objects."
)
@click.option(
    "--where", "conditions", multiple=True, metavar="KEY=VALUE", help="Condition on stored studies; all must hold."
)
@click.option(
    "--calling",
    default="",
    metavar="AE",
    help="As if sent by this AE title; for stored objects, their sender by default.",
)
@click.option(
    "--called", default="", metavar="AE", help="As if sent to this AE title of ours; `dimse.ae_title` by default."
)
@click.option("--most", type=click.IntRange(1), default=1000, show_default=True, help="Changes listed, without --json.")
def coerce(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    paths: tuple[Path, ...],
    dry_run: bool,
    conditions: tuple[str, ...],
    calling: str,
    called: str,
    most: int,
) -> None:
    """List what the rules in `coercion.rules` would change: before, after, and by which rule.

    It takes files and folders, as if CALLING sent them; or stored objects, as if they arrived today: earlier coercions
    and corrections are ignored. Nothing is changed: rules apply to arriving objects only, and stored objects stay as
    they are (`gantry correct` corrects them). Exit code 1 if something could not be read.

    \b
        gantry coerce --dry-run --calling NORTH1 folder/ file.dcm
        gantry coerce --dry-run --where StudyDate=20240101- --where ModalitiesInStudy=CT
    """
    if not dry_run:
        raise click.UsageError("give --dry-run: rules apply to arriving objects, not to stored ones")
    if bool(paths) == bool(conditions):
        raise click.UsageError("give files and folders, or --where KEY=VALUE for stored objects")
    if paths and not calling:
        raise click.UsageError("give --calling: the AE title that would send the files")
    listing = Listing(as_json, most)

    async def work(stores: Stores, settings: Settings) -> None:
        try:
            query = studies_where(conditions, DEFAULT_PARTITION, searchable(settings))
        except NotUnderstood as error:
            raise click.BadParameter(str(error), param_hint="--where") from error
        sender = _Sender(rules_of(settings), calling, called or settings.dimse.ae_title)
        async with _orders(stores, sender) as finder:
            sender = replace(sender, orders=finder)
            if paths:
                await _list_files(paths, sender, listing)
                return
            async for page in stores.index.locate(query):
                await _list_stored(stores, page, sender, listing)

    try:
        settings = load_settings(config, os.environ, {"data": data})
        sender = _Sender(rules_of(settings), calling, called or settings.dimse.ae_title)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    if paths and not sender.asks_orders:
        asyncio.run(_list_files(paths, sender, listing))
    else:
        run(config, data, work)
    listing.end()


def rules_of(settings: Settings) -> CoercionRules:
    """The rules in force. Raises `ConfigError` if there are none, or one is refused."""
    rules = coercion_rules(settings.coercion.rules)
    if rules is None:
        raise ConfigError("coercion.rules", None, "there is no rule; is --config right?")
    return rules


@dataclass(frozen=True, slots=True)
class _Sender:
    """The assumed sender; `calling` is "" for the real one."""

    rules: CoercionRules
    calling: str
    called: str
    orders: OrderFinder | None = None

    @property
    def asks_orders(self) -> bool:
        """Whether a rule for this sender takes values from orders; for any sender if `calling` is ""."""
        rules = self.rules.of(self.calling, self.called) if self.calling else self.rules
        return rules is not None and rules.asks_orders

    async def changes(self, calling: str, beginning: bytes, syntax: str) -> CoercionResult:
        """The result of the rules for an object with this beginning."""
        rules = self.rules.of(self.calling or calling, self.called)
        if rules is None:
            return CoercionResult()
        own = leading_values(beginning, syntax, rules.reads)
        if self.orders is None:
            return rules.changes(own)
        return rules.changes(own, await answers_of(rules, own, DEFAULT_PARTITION, self.orders))


@asynccontextmanager
async def _orders(stores: Stores, sender: _Sender) -> AsyncIterator[OrderFinder | None]:
    """An order finder, after all orders are read; None if no rule needs orders."""
    if not sender.asks_orders:
        yield None
        return
    followed = FollowedOrders(open_orders, stores.objects, stores.log, SystemClock(), Metrics())
    try:
        index, follower = followed.begin()
        await follower.caught_up()
        yield OrderFinder(index, follower.caught_up, SystemClock(), _PATIENCE)
    finally:
        await followed.close()


@dataclass(slots=True)
class Listing:
    """The output: a line of JSON for each change at once, or columns at the end."""

    as_json: bool
    most: int
    objects: int = 0
    changed: int = 0
    changes: int = 0
    unreadable: int = 0
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, name: str, changes: CoercionResult) -> None:
        """Add an object, and what the rules would change in it."""
        self.objects += 1
        self.changed += any(not change.unfit for change in changes.made)
        self.changes += len(changes.made)
        self._add_orders(name, changes)
        for change in changes.made:
            attribute = keyword_of_tag(change.tag)
            if self.as_json:
                fields = {"object": name, "rule": change.rule, "attribute": attribute}
                print_json({**fields, "before": change.before, "after": change.after, "unfit": change.unfit})
            elif len(self.rows) < self.most:
                after = f"(left out: {change.unfit})" if change.unfit else "\\".join(change.after) or "(empty)"
                self.rows.append((name, change.rule, attribute, "\\".join(change.before) or "(empty)", after))

    def _add_orders(self, name: str, changes: CoercionResult) -> None:
        """Add the rules that found no order."""
        for rule, outcome in changes.orders.items():
            if outcome is OrderOutcome.FOUND:
                continue
            if self.as_json:
                print_json({"object": name, "rule": rule, "order": outcome.value})
            elif len(self.rows) < self.most:
                self.changes += 1
                self.rows.append((name, rule, "(order)", "", f"({_OUTCOMES[outcome]})"))

    def skip(self, name: str, reason: str) -> None:
        """Add an object that could not be read."""
        self.unreadable += 1
        click.echo(f"{name}: {reason}", err=True)

    def end(self) -> None:
        """Print the rest; ends with exit code 1 if something could not be read."""
        if not self.as_json:
            if self.rows:
                print_columns(("object", "rule", "attribute", "before", "after"), self.rows)
            if self.changes > len(self.rows):
                click.echo(f"and {self.changes - len(self.rows)} more changes (--most)")
            words = f", {self.unreadable} could not be read" if self.unreadable else ""
            click.echo(f"{self.objects} objects, {self.changed} of them would be changed{words}")
        if self.unreadable:
            sys.exit(1)


async def _list_files(paths: Sequence[Path], sender: _Sender, listing: Listing) -> None:
    for path in walk(paths):
        file = look(path)
        if not isinstance(file, DicomFile):
            listing.skip(str(path), file.reason)
            continue
        try:
            with path.open("rb") as opened:
                opened.seek(file.offset)
                beginning = opened.read(_HEAD)
        except OSError as error:
            listing.skip(str(path), error.strerror or str(error))
            continue
        listing.add(str(path), await sender.changes("", beginning, file.transfer_syntax_uid))


async def _list_stored(stores: Stores, page: Sequence[Location], sender: _Sender, listing: Listing) -> None:
    keys = {
        at.object_key: InstanceKey(at.study_instance_uid, at.series_instance_uid, at.sop_instance_uid) for at in page
    }
    receipts = await stores.index.receipts_of(DEFAULT_PARTITION, list(keys.values()))
    async for at, beginning in _beginnings(stores, page):
        if beginning is None:
            listing.skip(at.sop_instance_uid, "its object is missing or damaged")
            continue
        known = receipts.get(keys[at.object_key])
        calling = known[0].sender if known else ""
        listing.add(at.sop_instance_uid, await sender.changes(calling, beginning, at.transfer_syntax_uid))


async def _beginnings(stores: Stores, page: Sequence[Location]) -> AsyncIterator[tuple[Location, bytes | None]]:
    for batch in _together(page):
        parts = [Part(at.object_key, at.data_set_offset, min(_HEAD, at.data_set_length)) for at in batch]
        try:
            read: list[bytes | None] = [*await stores.objects.read(parts)]
        except GantryError as error:
            if error.retryable:
                raise
            read = [await _beginning(stores, part) for part in parts]
        for at, beginning in zip(batch, read, strict=True):
            yield at, beginning


async def _beginning(stores: Stores, part: Part) -> bytes | None:
    try:
        (beginning,) = await stores.objects.read([part])
    except GantryError as error:
        if error.retryable:
            raise
        return None
    return beginning


def _together(page: Sequence[Location]) -> Iterator[Sequence[Location]]:
    """Locations in small groups, since the data read for a group is in memory together."""
    for start in range(0, len(page), 8):
        yield page[start : start + 8]
