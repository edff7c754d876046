"""What the verbs print: lines and tables for people on a terminal, JSON lines for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")

STATUS_WORDS = {
    0x0000: "success",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such object instance",
    0x0115: "invalid argument value",
    0x0117: "invalid object instance",
    0x0118: "no such SOP class",
    0x0119: "class-instance conflict",
    0x0122: "SOP class not supported",
    0x0124: "not authorised",
    0x0131: "duplicate transaction UID",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xA700: "out of resources",
    0xA701: "out of resources: cannot count matches",
    0xA702: "out of resources: cannot perform sub-operations",
    0xA801: "move destination unknown",
    0xA900: "data set does not match SOP class",
    0xB000: "warning",
    0xB006: "elements discarded",
    0xB007: "data set does not match SOP class (kept)",
    0xFE00: "cancelled",
    0xFF00: "pending",
    0xFF01: "pending: some optional keys were ignored",
}


def status_words(status: int) -> str:
    """A DIMSE status for a person (PS3.7 Annex C, PS3.4 B.2.3, C.4)."""
    words = STATUS_WORDS.get(status)
    if words is None:
        words = {0xA: "refused", 0xB: "warning", 0xC: "cannot understand"}.get(status >> 12, "failure")
    return f"{status:04X}H {words}"


def print_json(value: Any) -> None:
    """One JSON object on a line of its own."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_columns(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns of plain text, each as wide as its longest value: nothing is folded or cut, so that a UID can be copied,
    and a line stays a line for `grep` and `awk`."""
    cells = [tuple(map(_printable, row)) for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """RFC 4180, with a head."""
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows(rows)
    click.echo(out.getvalue(), nl=False)


def _printable(cell: str) -> str:
    """What comes from an archive must not move the cursor of a terminal, nor begin a line."""
    return cell if cell.isprintable() else "".join(c if c.isprintable() else "?" for c in cell)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """A table as wide as the terminal allows."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


class Bar(Protocol):
    """A progress bar that is under way."""

    def advance(self) -> None: ...


class _RichBar:
    def __init__(self, progress: Progress, words: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(words, total=total)

    def advance(self) -> None:
        self._progress.advance(self._task)


class _NoBar:
    def advance(self) -> None:
        return None


@contextmanager
def progress_bar(words: str, total: int, *, quiet: bool = False) -> Iterator[Bar]:
    """A bar on standard error while it is a terminal; nothing otherwise."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield _NoBar()
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        yield _RichBar(progress, words, total)
