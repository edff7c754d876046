"""`gantry inventory`: lists an archive's content as DICOM Inventory objects, and compares another archive with them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from gantry.cli.importing.comparing import compare
from gantry.cli.output import print_json
from gantry.common.amounts import counted
from gantry.common.audit import AuditEntry, AuditKind
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.dicom.inventory.records import InventoryLevel, Scope
from gantry.common.dicom.query.where import studies_where
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION
from gantry.services.commands.on_stores import options, run, this_trail
from gantry.services.maintenance.inventories import InventoriedStudies
from gantry.services.maintenance.inventory_files import InventoryFiles
from gantry.services.process.searchable import searchable
from gantry.services.process.stores import Stores
from gantry.services.requester import this_user

_LEVELS = [level.value.lower() for level in InventoryLevel]
_NAME = "inventory.dcm"


@click.group()
def inventory() -> None:
    """List this archive's content as DICOM Inventory objects (PS3.3 A.88), or compare such a list with an archive."""


inventory.add_command(compare)


@inventory.command()
@options
@click.argument("target", type=click.Path(path_type=Path), metavar="FOLDER|FILE")
@click.option("--where", "conditions", multiple=True, metavar="KEY=VALUE", help="Only studies that match.")
@click.option(
    "--level", type=click.Choice(_LEVELS), default="instance", show_default=True, help="Lowest level that is listed."
)
@click.option("--purpose", default="", help="The purpose, which is written into the inventory.")
@click.option(
    "--retrieve-url", default="", metavar="URL", help="The DICOMweb service from which the studies can be retrieved."
)
@click.option(
    "--objects-at",
    "base_uri",
    default="",
    metavar="URI",
    help="URI of the object store for its readers, such as s3://bucket/; each instance gets its file name below it.",
)
@click.option(
    "--most",
    type=click.IntRange(1),
    default=250_000,
    show_default=True,
    help="Instances in one object; beyond it the inventory has parts.",
)
def write(
    config: Path | None,
    data: Path | None,
    as_json: bool,
    target: Path,
    conditions: tuple[str, ...],
    level: str,
    purpose: str,
    retrieve_url: str,
    base_uri: str,
    most: int,
) -> None:
    """Write a list of the studies, series and instances, with all corrections, without deleted ones.

    Reads the stores of the archive, beside its services. The file gets its name when it is complete.

    \b
        gantry inventory write /mnt/out
        gantry inventory write ct.dcm --where ModalitiesInStudy=CT --purpose "change of archive"
    """
    path = target / _NAME if target.is_dir() else target
    if path.exists():
        raise click.UsageError(f"{path} exists: name another file, or move it away")
    if not path.parent.is_dir():
        raise click.UsageError(f"{path.parent} is not a folder")
    depth = InventoryLevel(level.upper())

    async def work(stores: Stores, settings: Settings) -> None:
        if base_uri and settings.tiers.stores:
            raise click.UsageError("--objects-at: objects are in several stores (tiers.stores), not below one URI")
        if base_uri and settings.encryption.is_on:
            raise click.UsageError("--objects-at: objects are encrypted (encryption), nobody else can read them there")
        if base_uri and settings.storage.in_place:
            raise click.UsageError("--objects-at: some objects are in place (storage.in_place), not below this URI")
        clock = SystemClock()
        try:
            query = studies_where(conditions, DEFAULT_PARTITION, searchable(settings))
        except NotUnderstood as error:
            raise click.UsageError(f"--where {error}") from None
        await _put_on_record(stores, settings, conditions)
        now = datetime.fromtimestamp(clock.now_us() / 1e6).astimezone()
        began = (f"{now:%Y%m%d}", f"{now:%H%M%S}")
        scope = Scope(depth, began, purpose, _values(conditions), retrieve_url, base_uri)
        files = InventoryFiles(path, scope, most)
        try:
            studies = InventoriedStudies(stores.index, clock, query, depth, keys=bool(base_uri))
            async for study in studies.all():
                files.add(study)
            paths = files.finish()
        except OSError as error:
            raise click.ClickException(f"{error.filename or path}: {error.strerror or error}") from error
        finally:
            files.discard()
        _say(as_json, files, paths)

    run(config, data, work, on_record=False)


async def _put_on_record(stores: Stores, settings: Settings, conditions: tuple[str, ...]) -> None:
    """Write the audit record before the inventory, which names every patient."""
    trail, query = this_trail(settings), " ".join(conditions).encode()
    trail.add(
        AuditEntry(
            AuditKind.QUERY, "gantry inventory write", this_user(), "person", query=query, query_class="inventory"
        )
    )
    await trail.close(stores.log)


def _values(conditions: tuple[str, ...]) -> dict[int, list[str]]:
    """The conditions as given, for the scope of the inventory; `studies_where` has refused invalid ones."""
    attributes = {}
    for condition in conditions:
        name, _, value = condition.partition("=")
        tag = TAGS.get(name.strip()) or int(name, 16)
        attributes[tag] = [part.strip() for part in value.split("\\")]
    return attributes


def _say(as_json: bool, files: InventoryFiles, paths: list[Path]) -> None:
    if as_json:
        names = [str(path) for path in paths]
        print_json({"studies": files.studies, "instances": files.instances, "files": names})
        return
    amounts = f"{counted(files.studies, 'study', 'studies')}, {counted(files.instances, 'instance')}"
    click.echo(f"{amounts}: {paths[0]}" + (f" and {counted(len(paths) - 1, 'part')}" if len(paths) > 1 else ""))
