"""Output of the verbs: lines and tables for people on a terminal, JSON lines for programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, Protocol, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")


def print_json(value: Any) -> None:
    """One JSON object on a line of its own."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    # The name of a file may not be text: bytes that are not UTF-8 are escaped.
    click.echo(line if _is_text(line) else json.dumps(value, default=str))


def _is_text(line: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in line)


def print_columns(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns of plain text, each as wide as its longest value. Nothing is wrapped or cut, so that a UID can be
    copied, and each row stays one line for `grep` and `awk`."""
    cells = [tuple(map(printable, row)) for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[str]], file: TextIO | None = None) -> None:
    """Print CSV (RFC 4180) with a header line, to standard output if no file is given."""
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows(rows)
    click.echo(out.getvalue(), nl=False, file=file)


def writable(path: Path | None) -> None:
    """Check that a report can be written, before hours of work. Raises `click.UsageError`."""
    if path is None:
        return
    try:
        path.open("a").close()
    except OSError as error:
        raise click.UsageError(f"the report {printable(str(path))} cannot be written: {error.strerror}") from None


def printable(cell: str) -> str:
    """Text without control characters: an archive's text must not move a terminal's cursor or begin a new line."""
    return cell if cell.isprintable() else "".join(c if c.isprintable() else "?" for c in cell)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table as wide as the terminal allows; plain columns to a file or a pipe."""
    console = Console()
    if not console.is_terminal:
        if title:
            click.echo(title)
        print_columns(columns, list(rows))
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # As text, not as markup: an archive's `[/x]` would be an error, and its `[link=…]` a link.
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)


class Bar(Protocol):
    """A running progress bar."""

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
    """A progress bar on standard error if that is a terminal; else nothing."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield _NoBar()
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as progress:
        yield _RichBar(progress, words, total)
