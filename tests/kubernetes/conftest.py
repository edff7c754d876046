"""The chart on a real node. Tests that need one run where GANTRY_TEST_KUBERNETES says so (`make test-kubernetes`): it
is minutes of work for both cores of a small machine, and needs root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes import keda
from tests.kubernetes.node import Node
from tests.kubernetes.site import Site
from tests.support.server import Unavailable
from tests.support.servers import skip

_ASKED_FOR = os.environ.get("GANTRY_TEST_KUBERNETES", "")
_LONG = sorted(path.name for path in Path(__file__).parent.glob("test_long*.py"))
collect_ignore = {
    "": ["test_short.py", *_LONG],
    "short": _LONG,
    "long": [],
}[_ASKED_FOR]


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    running = os.environ.get("GANTRY_TEST_NODE")
    if running:
        yield Node.running(Path(running))
        return
    try:
        built = Node()
    except Unavailable as error:
        skip("kubernetes", str(error))
    with built:
        yield built
        print("\nseconds:", {step: round(seconds, 1) for step, seconds in built.times.items()})


@pytest.fixture(scope="session")
def site(node: Node) -> Site:
    """The release, with every role ready."""
    installed = Site(node)
    try:
        if not os.environ.get("GANTRY_TEST_NODE"):
            installed.prepare()
            installed.install()
    except BaseException:
        installed.show()
        raise
    return installed


@pytest.fixture(scope="session")
def with_keda(node: Node) -> Node:
    """The node, with KEDA."""
    if os.environ.get("GANTRY_TEST_NODE"):
        skip("keda", "a node that somebody holds ends without it")
    try:
        keda.begin(node)
    except Unavailable as error:
        skip("keda", str(error))
    return node


@pytest.fixture(autouse=True)
def _show_what_went_wrong(request: pytest.FixtureRequest) -> Iterator[None]:
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before and "site" in request.fixturenames:
        request.getfixturevalue("site").show()
