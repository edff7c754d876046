"""`gantry import-in-place`: adds the objects of somebody else's bucket or folder without copying them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from hashlib import sha256
from itertools import chain
from pathlib import Path

import click

from gantry.cli.importing.pace import Hours, TransferPace
from gantry.cli.importing.throttling import throttled
from gantry.cli.output import print_csv, print_json, printable, progress_bar, writable
from gantry.common.amounts import in_bytes
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.sop_classes import StorageClasses
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import ConfigError, DependencyUnavailable
from gantry.common.ids import DEFAULT_PARTITION, is_ae_title
from gantry.common.lifecycle import retention_rules
from gantry.common.lifecycle.coercion_rules import coercion_rules
from gantry.common.ports.foreign import ForeignObject
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.followed_orders import FollowedOrders
from gantry.common.runtime.following import has_followed
from gantry.common.runtime.order_finding import OrderFinder
from gantry.common.runtime.rejections import rejection_rules
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.traces import new_trace
from gantry.services.commands.on_stores import options, run
from gantry.services.ingest.commit import IngestSettings, InstanceWriter, Sender
from gantry.services.ingest.in_place.job import InPlaceJob, ObjectState
from gantry.services.ingest.in_place.referring import ReferringTarget
from gantry.services.ingest.in_place.taking import InPlaceOptions, InPlaceRun, InPlaceSource
from gantry.services.ingest.rejection_checks import RejectionChecks
from gantry.services.ingest.subsequent_checks import SubsequentChecks
from gantry.services.process.searchable import searchable
from gantry.services.process.stores import Stores, open_orders

_HEAD = ("kind", "study", "series", "instance", "key", "detail")
_PAGE = 1000
_PATIENCE_SECONDS = 60.0
_TO_DO = (ObjectState.MISSING, ObjectState.FAILED, ObjectState.NEW)
_LOUD = (ObjectState.REFUSED, ObjectState.FAILED, ObjectState.DIFFERENT)


@click.command("import-in-place")
@options
@click.argument("name", metavar="NAME")
@click.option("--prefix", default="", help="Only objects whose key begins with this.")
@click.option(
    "--dry-run", is_flag=True, help="Read the beginning of each object, show what is missing, and add nothing."
)
@click.option(
    "--job",
    "job_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The job file; default: import-NAME-….db in this folder.",
)
@click.option("--again", is_flag=True, help="Process all objects, including those that are done.")
@throttled
@click.option("--parallel", type=click.IntRange(1, 64), default=4, show_default=True, help="Objects at once.")
@click.option("--patience", default=600.0, show_default=True, help="Seconds to wait if a store cannot be reached.")
@click.option(
    "--calling",
    default="IN_PLACE",
    show_default=True,
    metavar="AETITLE",
    help="The sender's AE title for coercion rules.",
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all objects that were not added to this file (CSV), and those that only the archive has.",
)
def import_in_place(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    name: str,
    prefix: str,
    dry_run: bool,
    job_path: Path | None,
    again: bool,
    bytes_per_second: float | None,
    within: Hours | None,
    parallel: int,
    patience: float,
    calling: str,
    report_path: Path | None,
) -> None:
    """Add the DICOM files of a bucket or folder that `storage.in_place` names, without copying them.

    Each object is read completely once, and checked as by C-STORE; from then on it can be found and retrieved. Its
    bytes stay in place, where nothing is ever written or deleted. Works on the archive's stores, beside its services.
    Run it again to continue, and to add new objects. Exit code 1 if something is missing or failed.

    \b
        gantry import-in-place old --dry-run --report differences.csv
        gantry import-in-place old --prefix 2019/ --rate 100M --hours 19:00-06:30
    """
    if not is_ae_title(calling):
        raise click.BadParameter(f"{calling!r} is not an AE title", param_hint="--calling")
    writable(report_path)
    path = job_path or Path(f"import-{name}-{sha256(f'{name} {prefix}'.encode()).hexdigest()[:8]}.db")
    code = 0

    async def work(stores: Stores, settings: Settings) -> None:
        nonlocal code
        if name not in {store.name for store in settings.storage.in_place}:
            raise ConfigError("storage.in_place", None, f"does not name {name!r}")
        pace = TransferPace(SystemClock(), bytes_per_second, within)
        with closing(InPlaceJob(path, f"{name} {prefix}".strip(), settings.objects_url)) as job:
            source = InPlaceSource(name, await stores.in_place.foreign.get(name))
            await _list(job, source, prefix, as_json)
            job.reset_objects() if again else job.reconsider()
            if not await has_followed(stores.log, SystemClock(), _PATIENCE_SECONDS):
                raise DependencyUnavailable(
                    "index", "the indexers are behind the log, so the comparison would be wrong: try again later"
                )
            sender = Sender(new_trace(), calling, settings.dimse.ae_title, "")
            chosen = InPlaceOptions(dry_run, parallel, patience)
            await _take(stores, settings, job, source, sender, pace, chosen, as_json)
            if report_path is not None:
                extra = [row async for row in _extra(job, stores.index)]
                with report_path.open("w", newline="", errors="backslashreplace") as file:
                    print_csv(_HEAD, chain(job.report(), extra), file)
            code = _conclude(job, path, dry_run, as_json)

    run(config, data, work)
    sys.exit(code)


async def _list(job: InPlaceJob, source: InPlaceSource, prefix: str, as_json: bool) -> None:
    if not as_json:
        click.echo("listing the objects of the source", err=True)
    page: list[ForeignObject] = []
    async for blob in source.store.list(prefix):
        if blob.key.endswith("/"):
            continue  # how S3 consoles show folders
        page.append(blob)
        if len(page) >= _PAGE:
            job.see(page)
            page = []
    job.see(page)


async def _take(
    stores: Stores,
    settings: Settings,
    job: InPlaceJob,
    source: InPlaceSource,
    sender: Sender,
    pace: TransferPace,
    chosen: InPlaceOptions,
    as_json: bool,
) -> None:
    left = job.count_left()
    if not as_json:
        click.echo(f"{left} objects to process", err=True)
    if minutes := pace.wait():
        click.echo(f"waiting for the allowed hours, which begin in {minutes} minutes", err=True)
    words = "comparing" if chosen.dry_run else "taking over"
    with progress_bar(words, left, quiet=as_json) as bar:

        def tell(blob: ForeignObject, state: ObjectState, reason: str) -> None:
            bar.advance()
            if as_json:
                print_json({"key": _shown(blob.key), "state": state.value, "bytes": blob.size, "reason": reason})
            elif state in _LOUD:
                click.echo(f"{state.value} {_shown(blob.key)}: {reason}", err=True)

        target = ReferringTarget(stores.in_place)
        classes = StorageClasses(settings.dimse.private_sop_classes)
        async with _writer(stores, settings, target) as writer:
            taking = InPlaceRun(
                job, source, target, writer, stores.in_place, stores.index, classes, sender, pace, SystemClock(),
                chosen, tell,
            )  # fmt: skip
            try:
                await taking.run()
            except* DependencyUnavailable as group:
                raise _first(group) from group


@asynccontextmanager
async def _writer(stores: Stores, settings: Settings, target: ReferringTarget) -> AsyncIterator[InstanceWriter]:
    """The writer that ingest uses (`gantry.services.ingest.app`), for objects that are added."""
    clock, metrics = SystemClock(), Metrics()
    rules, coercion = rejection_rules(settings.lifecycle), coercion_rules(settings.coercion.rules)
    followed = FollowedOrders(open_orders, stores.objects, stores.log, clock, metrics)
    with ThreadPoolExecutor(2, thread_name_prefix="in-place") as workers:
        try:
            orders = None
            if coercion is not None and coercion.asks_orders:
                index, follower = followed.begin()
                await follower.caught_up()
                orders = OrderFinder(index, follower.caught_up, clock, settings.coercion.orders_within)
            yield InstanceWriter(
                target,
                stores.log,
                clock,
                workers,
                metrics,
                IngestSettings(settings.dimse.max_object, settings.storage.deadline),
                RejectionChecks(
                    stores.objects,
                    stores.index,
                    stores.log,
                    clock,
                    rules,
                    retention_rules(settings.lifecycle.retention, searchable(settings)),
                    settings.lifecycle.grace,
                ),
                coercion,
                SubsequentChecks(stores.index, stores.log, clock, rules.policy, metrics.subsequent_occurrences),
                orders,
            )
        finally:
            await followed.close()


async def _extra(job: InPlaceJob, index: ReadIndex) -> AsyncIterator[tuple[str, ...]]:
    """Instances of the source's studies that only the archive has."""
    for study in job.studies():
        instances = job.instances(study)
        async for page in index.locate(Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))})):
            for location in page:
                if (location.series_instance_uid, location.sop_instance_uid) not in instances:
                    yield "extra", study, location.series_instance_uid, location.sop_instance_uid, "", ""


def _conclude(job: InPlaceJob, path: Path, dry_run: bool, as_json: bool) -> int:
    """Print the totals. Returns the exit code."""
    counts, gone = job.counts(), job.gone()
    if as_json:
        print_json({"objects": {state: count for state, (count, _) in counts.items()}, "gone": gone})
    else:
        for state, (count, size) in sorted(counts.items()):
            click.echo(f"{state}: {count} ({in_bytes(size)})")
        if not counts:
            click.echo("no objects")
        if gone:
            click.echo(f"gantry: {gone} that were added are no longer in the source", err=True)
        if not dry_run:
            click.echo(f"job file {path}")
    return 1 if gone or any(state in counts for state in _TO_DO) else 0


def _shown(key: str) -> str:
    return printable(key.encode("utf-8", "backslashreplace").decode())


def _first(group: BaseExceptionGroup[DependencyUnavailable]) -> DependencyUnavailable:
    def leaves(error: BaseException) -> Iterator[BaseException]:
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from leaves(inner)
        else:
            yield error

    return next(each for each in leaves(group) if isinstance(each, DependencyUnavailable))
