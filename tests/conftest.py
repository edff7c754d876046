"""What holds for all tests: they run on uvloop, as the product does; property tests are not failed for the speed of the
machine they run on; no test inherits the logging of another; the real servers that a session started are ended with it
(tests.support.servers); and a run ends in its time.

`GANTRY_TESTS` says how much of it is run: `quick` (few examples of property tests), `short` (the default: without the
tests of tests.support.long), `long` (everything, and many examples); of `short`, `first` is what tests.support.first
has, and `rest` what it has not. After `GANTRY_TESTS_UNTIL`, in seconds since 1970,
no test is begun any more: it is skipped, and the closing lines say how many were. What fails is told at once."""

import asyncio
import functools
import gc
import inspect
import os
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from tests.support import overheard, servers
from tests.support.first import FIRST
from tests.support.long import HOW_MUCH, LONG, examples
from tests.support.scheduling import pytest_xdist_make_scheduler

__all__ = ["pytest_xdist_make_scheduler"]
"""A hook: pytest finds it here."""

_HEALTH = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("ours", deadline=None, suppress_health_check=_HEALTH, max_examples=examples(100))
settings.load_profile("ours")
_UNTIL = float(os.environ.get("GANTRY_TESTS_UNTIL", "inf"))

_MAKING_SECONDS = 240.0
_TELL_SECONDS = 300.0
_controls = False
_reported_at = time.monotonic()
_closing_lines: list[str] = []


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Transports of uvloop are no subclass of asyncio's: what passes on asyncio's own loop may fail in production."""
    return {"uvloop": uvloop.new_event_loop}


_LONGEST = ("faults/", "e2e/test_compose.py", "e2e/test_viewer_budgets.py", "crash/test_deletion.py")
_FOLDERS = ("house", "unit", "compat", "conformance", "contract", "crash", "integration", "kubernetes", "monitoring")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test that waits on uvloop is not reached by the signal of pytest-timeout: it would hang, and the run with it.
    So it is cancelled a little before its time, and says where it stood; what hangs nevertheless ends its process."""
    items.sort(key=_turn)
    if not any("::" in argument for argument in config.args):  # a test that is named is run
        _leave_out(config, items)
    for item in items:
        test = getattr(item, "obj", None)
        marker = item.get_closest_marker("timeout")
        seconds = float(marker.args[0] if marker is not None else item.config.getini("timeout"))
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(test):
            item.obj = _within(test, seconds * 0.9)
        # It counts the making of what the test needs, too: a hundred thousand studies, on a busy machine.
        # A test that is no coroutine may run a loop of its own: one that never ended held up a run for half an hour.
        # The thread that sees to it costs as much as a small test: a unit test waits for nothing, so a signal does.
        method = "signal" if item.nodeid.startswith("tests/unit/") else "thread"
        item.add_marker(pytest.mark.timeout(seconds + _MAKING_SECONDS, method=method), append=False)


def _leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to other runs what this one is not to have, for the closing lines to say."""
    long = {item for item in items if item.nodeid in LONG}
    first = {item for item in items if item.nodeid in FIRST} - long
    rest = {*items} - long - first
    mine = {"first": first, "rest": rest, "long": {*items}}.get(HOW_MUCH, first | rest)
    config.hook.pytest_deselected(items=[item for item in items if item not in mine])
    items[:] = [item for item in items if item in mine]
    for name, tests in (("first", first), ("rest", rest), ("long", long)):
        servers.note(name, str(len(tests - mine)))
    if [Path(argument).name for argument in config.args] == ["tests"]:
        # A test that was given another name would be run again, and an entry that says nothing would stay.
        known = [*LONG.idle(item.nodeid for item in long), *FIRST.idle(item.nodeid for item in first)]
        servers.note("idle", ", ".join(known))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing of what is collected is garbage until the end: it need not be looked through again and again."""
    gc.disable()
    answer = yield
    gc.freeze()
    gc.enable()
    return answer


def pytest_collection_finish() -> None:
    from tests.support import resting  # imports pynetdicom, which a process without tests can do without

    resting.mend()


def _turn(item: pytest.Item) -> tuple[bool, int]:
    """When a test has its turn. A file is one worker's: what takes longest is begun first, so that nobody waits for it
    alone at the end. Then by folders, as it matters that they are not left where the time is over."""
    path = item.nodeid.removeprefix("tests/")
    folder = path.partition("/")[0]
    return not path.startswith(_LONGEST), _FOLDERS.index(folder) if folder in _FOLDERS else len(_FOLDERS)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Skip what would begin too late, and listen to what clients hear from now on."""
    if time.time() > _UNTIL:
        servers.skip("time", "the time of this run is over")
    overheard.listen()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell at once what failed, and the time now and then: a run that is broken off has said it."""
    global _reported_at
    if not _controls:
        return
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        lines = str(getattr(crash, "message", "")).splitlines()
        print(f"\n{time.strftime('%H:%M:%S')} FAILED {report.nodeid} {''.join(lines[:1])}", flush=True)
    elif time.monotonic() - _reported_at > _TELL_SECONDS:
        _reported_at = time.monotonic()
        print(f"\n{time.strftime('%H:%M:%S')} at {report.nodeid}", flush=True)


def _within(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def bounded(*args: object, **kwargs: object) -> None:
        running = asyncio.ensure_future(test(*args, **kwargs))
        done, _ = await asyncio.wait([running], timeout=seconds)
        if not done:
            for task in asyncio.all_tasks():
                task.print_stack(file=sys.stderr)
            running.cancel()
            await asyncio.wait([running], timeout=5)
            pytest.fail(f"it still waited after {seconds:g} s", pytrace=False)
        await running

    return bounded


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """Fixtures may have imported more clients."""
    overheard.listen()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """An embedded archive quiets the process's log, and `set_up_logs` replaces its form: neither outlives its test. No
    failure that a client of the test met names a patient, whether the test looks at it or not."""
    # Not two fixtures: each costs every test as much as a small one takes.
    try:
        yield
    finally:
        if "structlog" in sys.modules:
            sys.modules["structlog"].reset_defaults()
        faults = overheard.noted()
    assert not faults, "\n".join(faults[:5])


def pytest_configure(config: pytest.Config) -> None:
    global _controls
    _controls = not hasattr(config, "workerinput")
    if _controls:
        servers.begin()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    if _controls:
        _closing_lines.extend(servers.end())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("what ran on what")
    for line in _closing_lines:
        terminalreporter.write_line(line)
