"""This tree beside an earlier revision of it: has a change made anything slower?

    python -m tests.bench.revisions REVISION [--rows store,small,…] [--rounds 7]

Two archives of the same program differ little, and a shared machine is twice as fast in one minute as in the next. So
both run at the same time on this machine, and each is measured for a moment, in turn. Printed are both medians, and
the median and range of the rounds' ratios: above 1 is faster now. Nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from random import Random

import pydicom

from tests.bench import contestants as field
from tests.bench import corpus, senders
from tests.bench.asking import Client, crowd
from tests.bench.contestants import ROOT, Contestant
from tests.bench.machine import remove, settle
from tests.bench.rows import dicom_files, filled, find_rate, retrieve, running
from tests.bench.stow import post
from tests.bench.web import JSON, OCTETS, multi_frame, place_of, wait_found
from tests.support.objects import file_bytes

_SENDERS = 4
_CT, _SMALL, _RESPONSES, _FETCHED, _INSTANCES, _FRAMES = 15, 150, 1000, 60, 300, 1500
"""How much of each is done for one measurement: enough for half a second or more."""


class Row:
    """What is measured of an archive; higher is better."""

    unit = "objects/s"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, server: Contestant) -> None:
        """What it holds before anything is measured."""

    def measure(self, server: Contestant, number: int) -> float:
        """The rate of one round."""
        raise NotImplementedError


class Store(Row):
    side, count = corpus.CT, _CT

    def measure(self, server: Contestant, number: int) -> float:
        folders = [self.folder / f"{number}-{sender}" for sender in range(_SENDERS)]
        for folder in folders:
            if not folder.exists():
                corpus.make(folder, self.count, self.side)
        return self.count * _SENDERS / senders.lean(server.port, folders)


class Small(Store):
    side, count = corpus.SMALL, _SMALL


class Find(Row):
    unit = "responses/s"

    def __init__(self, folder: Path) -> None:
        self._files = dicom_files(corpus.make(folder, 100, 16))

    def fill(self, server: Contestant) -> None:
        filled(server, self._files)

    def measure(self, server: Contestant, number: int) -> float:
        return find_rate(server, _RESPONSES).value


class Get(Row):
    tool = "getscu"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "fetched")
        self.folder.mkdir(parents=True)
        self._files = dicom_files(corpus.make(folder, _FETCHED, corpus.CT))

    def fill(self, server: Contestant) -> None:
        filled(server, self._files)

    def measure(self, server: Contestant, number: int) -> float:
        settle()
        return _FETCHED / retrieve(server.port, self.tool, *self._arguments())

    def _arguments(self) -> list[str]:
        return ["-od", str(self.folder)]


class Move(Get):
    """To a destination that drops what it gets (our engine)."""

    tool = "movescu"

    def _arguments(self) -> list[str]:
        return ["-aem", "DEST"]


class Metadata(Row):
    """Of a series, the second time."""

    unit = "instances/s"

    def __init__(self, folder: Path) -> None:
        self._files = dicom_files(corpus.make(folder, _INSTANCES, 128, per_series=_INSTANCES))
        first = pydicom.dcmread(self._files[0].path, stop_before_pixels=True)
        self._path = f"/dicom-web/studies/{first.StudyInstanceUID}/metadata"

    def fill(self, server: Contestant) -> None:
        filled(server, self._files)

    def measure(self, server: Contestant, number: int) -> float:
        client = Client(server.http_port)
        seconds = statistics.median(client.timed(self._path, JSON) for _ in range(5))
        client.close()
        return _INSTANCES / seconds


class Frames(Row):
    """16 clients that ask for frames of 131 KB in no order."""

    unit = "frames/s"

    def __init__(self, folder: Path) -> None:
        self._object = multi_frame()
        numbers = Random(5).choices(range(1, self._object.NumberOfFrames + 1), k=_FRAMES)
        self._paths = [f"{place_of(self._object)}/frames/{number}" for number in numbers]

    def fill(self, server: Contestant) -> None:
        post(server.http_port, [file_bytes(self._object)])
        wait_found(server, str(self._object.StudyInstanceUID), 1)

    def measure(self, server: Contestant, number: int) -> float:
        answers, seconds = crowd(server.http_port, 16, self._paths, OCTETS)
        return answers / seconds


ROWS: dict[str, type[Row]] = {
    "store": Store,
    "small": Small,
    "find": Find,
    "move": Move,
    "get": Get,
    "metadata": Metadata,
    "frames": Frames,
}


@contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[Path]:
    """The tree of a revision, as a worktree that goes again."""
    git = partial(subprocess.run, cwd=ROOT, check=True, capture_output=True)
    git(["git", "worktree", "add", "--detach", str(folder), revision])
    try:
        yield folder
    finally:
        git(["git", "worktree", "remove", "--force", str(folder)])


def compare(row: Row, trees: tuple[Path, Path], folder: Path, rounds: int) -> list[tuple[float, float]]:
    """The rates before and now, of each round."""
    with ExitStack() as stack:
        sink = stack.enter_context(running(field.gantry_engine(folder / "destination", keep=False)))
        servers = []
        for name, tree in zip(("before", "now"), trees, strict=True):
            start = partial(field.gantry, folder / name, name=name, destination_port=sink.port)
            servers.append(stack.enter_context(running(start(environment={"PYTHONPATH": f"{tree}/libs"}))))
        for server in servers:
            row.fill(server)
        rates = []
        for number in range(rounds + 1):
            turn = servers if number % 2 else servers[::-1]
            measured = {server.name: row.measure(server, number) for server in turn}
            rates.append((measured["before"], measured["now"]))
    return rates[1:]  # the first one fills caches


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.revisions")
    parser.add_argument("revision")
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(f"| row | {options.revision} | now | ratio of a round, median | min to max |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="gantry-bench-", dir=Path.cwd()) as name:
        folder = Path(name)
        with checked_out(options.revision, folder / "tree") as tree:
            for title in options.rows.split(","):
                place = folder / title
                row = ROWS[title](place / "set")
                rates = compare(row, (tree, ROOT), place, options.rounds)
                ratios = [now / before for before, now in rates]
                before, now = (statistics.median(column) for column in zip(*rates, strict=True))
                print(
                    f"| {title} | {before:,.0f} {row.unit} | {now:,.0f} {row.unit} | {statistics.median(ratios):.2f} "
                    f"| {min(ratios):.2f} to {max(ratios):.2f} |",
                    flush=True,
                )
                remove(place)


if __name__ == "__main__":
    main()
