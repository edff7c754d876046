"""`gantry conflicts`: the objects that share one SOP Instance UID, fetched and compared."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gantry.cli.output import print_json, printable
from gantry.common.amounts import counted
from gantry.common.config.settings import Settings
from gantry.common.errors import GantryError
from gantry.common.ids import DEFAULT_PARTITION
from gantry.services.commands.on_stores import options, run
from gantry.services.maintenance.comparing import ObjectComparison, compare
from gantry.services.maintenance.conflicts import ConflictSide, fetch, sides
from gantry.services.process.stores import Stores

_LONGEST = 64
"""Characters of a value in a line for people."""


@click.command()
@options
@click.argument("uids", metavar="[UID…]", nargs=-1)
@click.option("--fetch", "folder", type=click.Path(file_okay=False, path_type=Path), help="Write every object here.")
@click.option("--compare", "comparing", is_flag=True, help="Show which attributes differ, and whether the pixels do.")
def conflicts(
    config: Path | None, data: Path | None, as_json: bool, uids: tuple[str, ...], folder: Path | None, comparing: bool
) -> None:
    """List the SOP Instance UIDs that mean more than one object, with all their objects; or these UIDs only.

    Either an instance was sent again with other bytes: the first one stays current, the others are kept aside. Or two
    series have an instance with the same UID: both can be found and fetched. Nothing is lost, and nothing changes until
    `gantry choose` decides which one is current.

    --compare reads the objects as received, without corrections, and compares each with the first current one. Exit
    code 1 if one could not be read, or a given UID is not in conflict.
    """
    keep = nullcontext(str(folder)) if folder is not None else tempfile.TemporaryDirectory(prefix="gantry-")

    async def work(stores: Stores, settings: Settings) -> None:
        listing = _Listing(as_json, folder is not None, comparing)
        with keep as at:
            async for conflict in sides(stores.index, DEFAULT_PARTITION):
                if not uids or conflict[0].sop_instance_uid in uids:
                    files = [
                        await _fetched(stores, side, Path(at)) if folder is not None or comparing else None
                        for side in conflict
                    ]
                    listing.add(conflict, files)
                    if folder is None:
                        _remove(files)
        listing.end(uids)

    run(config, data, work)


def _remove(files: Sequence[Path | None]) -> None:
    """Remove the files of a UID before those of the next are fetched, since thousands may be in conflict."""
    for file in files:
        if file is not None:
            file.unlink(missing_ok=True)


async def _fetched(stores: Stores, side: ConflictSide, folder: Path) -> Path | None:
    try:
        return await fetch(stores.objects, side, folder)
    except GantryError as error:
        if error.retryable:
            raise
        return None


class _Listing:
    """The output, printed after each UID."""

    def __init__(self, as_json: bool, keeps: bool, comparing: bool) -> None:
        self._as_json = as_json
        self._keeps = keeps
        self._comparing = comparing
        self._seen: set[str] = set()
        self._failed = False

    def add(self, conflict: Sequence[ConflictSide], files: Sequence[Path | None]) -> None:
        """Print one UID, with the files of its sides if they were fetched; None for a file that could not be read."""
        self._seen.add(conflict[0].sop_instance_uid)
        first = next((number for number, side in enumerate(conflict) if side.current), 0)
        for number, (side, file) in enumerate(zip(conflict, files, strict=True)):
            compared: ObjectComparison | str | None = None
            if file is None and (self._keeps or self._comparing):
                compared, self._failed = "its object is missing or damaged", True
            elif self._comparing and number != first:
                compared = self._compare(files[first], file)
            self._print(side, file if self._keeps else None, compared, conflict[first].receipt)

    def _compare(self, path: Path | None, other: Path | None) -> ObjectComparison | str:
        if path is None or other is None:
            return "not compared: the object of the current one is missing or damaged"
        try:
            return compare(path, other)
        except (OSError, ValueError) as error:
            self._failed = True
            return f"not compared: {error}"

    def _print(
        self, side: ConflictSide, file: Path | None, compared: ObjectComparison | str | None, first: str
    ) -> None:
        if self._as_json:
            fields: dict[str, Any] = asdict(side)
            if file is not None:
                fields["file"] = str(file)
            if isinstance(compared, str):
                fields["error"] = compared
            elif compared is not None:
                fields |= {"compared_with": first, **asdict(compared)}
            print_json(fields)
            return
        click.echo(_side_in_words(side, str(file) if file is not None else side.object_key))
        if isinstance(compared, str):
            click.echo(f"    {printable(compared)}")
        elif compared is not None:
            for each in compared.differences:
                click.echo(f"    {each.path}: {_short(each.one)} -> {_short(each.other)}")
            click.echo(f"    pixels: {printable(compared.pixels)}")

    def end(self, uids: Sequence[str]) -> None:
        """Print the number of conflicts; ends with exit code 1 if something failed."""
        for uid in uids:
            if uid not in self._seen:
                click.echo(f"{uid}: not in conflict", err=True)
                self._failed = True
        if not self._as_json:
            number = len(self._seen)
            click.echo(_in_conflict(number))
        if self._failed:
            sys.exit(1)


def _short(value: str | None) -> str:
    if value is None:
        return "(absent)"
    return printable(value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…") or "(empty)"


def _side_in_words(side: ConflictSide, path: str) -> str:
    state = "current" if side.current else "aside" if side.aside else "redundant"
    received = datetime.fromtimestamp(side.received_ms / 1000, UTC).isoformat(timespec="seconds")
    return "  ".join(
        [
            side.sop_instance_uid,
            f"{state}{', lost' if side.lost else ''}",
            f"from {printable(side.sender) or 'unknown'} at {received}",
            f"receipt {side.receipt}",
            f"study {side.study_instance_uid}",
            f"series {side.series_instance_uid}",
            path,
        ]
    )


def _in_conflict(number: int) -> str:
    if not number:
        return "no conflicts"
    return f"{counted(number, 'UID')} {'means' if number == 1 else 'mean'} more than one object"
