"""pytest fixtures: `pytest_plugins = ["gantry.testing.plugin"]` in a conftest.py at the root of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gantry.testing.archive import InProcessGantry


@pytest.fixture
def gantry() -> Iterator[InProcessGantry]:
    """An empty archive of the test's own, in this process: any AE title may do anything from this machine."""
    with InProcessGantry() as archive:
        yield archive


@pytest.fixture(scope="session")
def shared_gantry() -> Iterator[InProcessGantry]:
    """One archive for all tests of the session; what one stores the others find."""
    with InProcessGantry() as archive:
        yield archive
