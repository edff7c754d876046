"""`make bench`: the rows of docs/benchmarks.md.

    python -m tests.bench [--rows store,nagle,…] [--runs 5] [--quick]

In every run each contestant of a row is measured once, in turn, so that all of them meet the same machine; the medians
of the runs are printed, and each row's ratio to its peer. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.bench import (
    bulk,
    changing,
    cluster,
    messages,
    ordering,
    restoring,
    rows,
    searching,
    side_by_side,
    storing,
    stow,
    web,
    worklists,
)
from tests.bench.machine import remove
from tests.bench.rows import Figure

ROWS: dict[str, Callable[[Path, bool], list[Figure]]] = {
    "store": storing.store,
    "door": storing.door,
    "busy": storing.busy,
    "small": storing.small,
    "nagle": storing.nagle,
    "coercing": storing.coercing,
    "encrypted": side_by_side.encrypted,
    "protected": side_by_side.protected,
    "find": rows.find,
    "move": rows.move,
    "get": rows.get,
    "send": rows.send,
    "idle": rows.idle,
    "big": rows.big,
    "connects": rows.connects,
    "associations": rows.associations,
    "cluster": cluster.cluster,
    "far-move": cluster.far_move,
    "far-get": cluster.far_get,
    "searchable": cluster.searchable,
    "indexing": searching.taking_in,
    "searching": searching.searching,
    "changing": changing.changing,
    "folding": changing.folding,
    "ordered": ordering.ordered,
    "worklist": worklists.worklist,
    "hl7": messages.hl7,
    "stow": stow.stow,
    "qido": web.qido,
    "metadata": web.metadata,
    "frame": web.frame,
    "frames": web.frames,
}

BY_NAME: dict[str, Callable[[Path, bool], list[Figure]]] = {
    "bulk": bulk.bulk,
    "restore": restoring.restore,
    "ordered-million": ordering.ordered_million,
    "ordered-million-sqlite": ordering.ordered_million_sqlite,
}
"""Rows that take too long to be among all of them."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a fifth of the objects")
    options = parser.parse_args()
    for row in options.rows.split(","):
        runs: dict[tuple[str, str], list[Figure]] = {}
        with tempfile.TemporaryDirectory(prefix="gantry-bench-", dir=Path.cwd()) as folder:
            for number in range(options.runs):
                for figure in (ROWS | BY_NAME)[row](Path(folder) / str(number), options.quick):
                    runs.setdefault((figure.what, figure.who), []).append(figure)
                remove(Path(folder) / str(number))
        _print(row, runs)


def _print(row: str, runs: dict[tuple[str, str], list[Figure]]) -> None:
    print(f"\n### {row}\n\n| what | who | median | min to max | CPU each | peak memory |\n|---|---|---|---|---|---|")
    for (measurement, contestant), figures in runs.items():
        values = [f.value for f in figures]
        unit = figures[0].unit
        cpu = statistics.median(f.cpu_ms for f in figures)
        peak = statistics.median(f.peak for f in figures) / 1e6
        print(
            f"| {measurement} | {contestant} | {_figure(statistics.median(values))} {unit} "
            f"| {_figure(min(values))} to {_figure(max(values))} "
            f"| {f'{cpu:.2f} ms' if cpu else ''} | {f'{peak:,.0f} MB' if peak else ''} |",
            flush=True,
        )


def _figure(value: float) -> str:
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


if __name__ == "__main__":
    main()
