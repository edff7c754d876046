"""Tests of a millisecond, a share of their files in each of some processes.

    python -m tests.support.shares tests/unit [arguments of pytest]

pytest-xdist sends three reports of each test to a process that prints them, and each of its workers collects all files
to agree with the others on what there is. For tests that take minutes this is nothing. For some thousands of small ones
it cost more than half of what they take themselves. Here each process collects and runs its own files, and only the
counts are put together.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import pytest
from _pytest.terminal import TerminalReporter

_PROCESSES = min(8, os.cpu_count() or 2)
_NO_TESTS = pytest.ExitCode.NO_TESTS_COLLECTED
_OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:logging")


def share_of(process: int, processes: int, sizes: Iterable[tuple[str, int]]) -> frozenset[str]:
    """Names of one process's files: sizes add up to about the same for each, and every file is of exactly one."""
    totals = [0] * processes
    mine = set()
    for name, size in sorted(sizes, key=lambda file: (-file[1], file[0])):
        least = min(range(processes), key=totals.__getitem__)
        totals[least] += size
        if least == process:
            mine.add(name)
    return frozenset(mine)


class _Share:
    """A plugin of pytest: what one process collects, and how its tests ended."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._mine: frozenset[str] = frozenset()
        self.counts: dict[str, int] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        paths = [config.invocation_params.dir / argument for argument in config.args]
        files = {file for path in paths for file in path.rglob("test_*.py")}
        sizes = ((str(file), file.stat().st_size) for file in files)
        self._mine = share_of(self._process, _PROCESSES, sizes)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        is_test = collection_path.match("test_*.py")
        return True if is_test and str(collection_path) not in self._mine else None

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        kinds = ("failed", "passed", "skipped", "error")
        self.counts = {kind: len(terminalreporter.stats.get(kind, ())) for kind in kinds}


def main(arguments: list[str]) -> int:
    """The exit code: of the first process that failed, or else 0."""
    begin = time.monotonic()
    if files := [argument for argument in arguments if "::" in argument or argument.endswith(".py")]:
        print(f"give folders; pytest itself runs {files[0]}", file=sys.stderr)
        return int(pytest.ExitCode.USAGE_ERROR)
    # What nearly all files of tests import is imported once, by the process that the others are forked from.
    import hypothesis  # noqa: F401
    import pynetdicom  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder, f"{number}.txt").open("w+", encoding="utf-8") for number in range(_PROCESSES)]
        results = [Path(folder, f"{number}.json") for number in range(_PROCESSES)]
        sys.stdout.flush()
        children = [_forked(number, arguments, outputs[number], results[number]) for number in range(_PROCESSES)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        for code, output in zip(codes, outputs, strict=True):
            if code not in (0, _NO_TESTS):
                output.seek(0)
                print(output.read(), f"a process of tests ended with code {code}", sep="\n")
        counts = [json.loads(result.read_text()) for result in results if result.exists()]
    totals = {kind: sum(count[kind] for count in counts) for kind in ("failed", "passed", "skipped", "error")}
    words = ", ".join(f"{number} {kind}" for kind, number in totals.items() if number)
    print(f"{words or 'no test'} in {time.monotonic() - begin:.1f} s, {_PROCESSES} processes")
    failures = [code for code in codes if code not in (0, _NO_TESTS)]
    if failures:
        return failures[0]
    return 0 if totals["passed"] else int(_NO_TESTS)


def _forked(number: int, arguments: list[str], output: IO[str], result: Path) -> int:
    """The process id. A child that dies has no result, and a code that is not 0."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        share = _Share(number)
        code = int(pytest.main([*_OPTIONS, *arguments], plugins=[share]))
        result.write_text(json.dumps(share.counts))
        sys.stdout.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
