"""pytest fixtures, registered by the installed package: no line of configuration is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gantry.testing.archive import InProcessGantry

# The archive is imported by the fixtures: whoever has Gantry installed and does not use them pays nothing for it.


@pytest.fixture
def gantry() -> Iterator[InProcessGantry]:
    """An empty archive of the test's own, in this process: any AE title may do anything from this machine."""
    from gantry.testing.archive import InProcessGantry

    with InProcessGantry() as archive:
        yield archive


@pytest.fixture
def secure_gantry() -> Iterator[InProcessGantry]:
    """The same with TLS on both sides and a token over HTTP; `secure_gantry.security` has what a client needs."""
    from gantry.testing.archive import InProcessGantry

    with InProcessGantry(secure=True) as archive:
        yield archive


@pytest.fixture(scope="session")
def shared_gantry() -> Iterator[InProcessGantry]:
    """One archive for all tests of the session; what one stores the others find."""
    from gantry.testing.archive import InProcessGantry

    with InProcessGantry() as archive:
        yield archive
