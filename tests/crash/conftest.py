"""Archives that a test starts, killed at its end whatever happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.archive import RunningArchive
from tests.support.topology import TOPOLOGIES, environment, remove_stores

MakeArchive = Callable[..., RunningArchive]


embedded = pytest.mark.parametrize("topology", ["embedded"], indirect=True)
"""For a test that takes away or looks into a file of the embedded stores."""

cluster = pytest.mark.parametrize("topology", ["cluster"], indirect=True)
"""For a test of what only servers do."""


@pytest.fixture(params=TOPOLOGIES)
def topology(request: pytest.FixtureRequest) -> str:
    """Where the archive of `make_archive` has its stores."""
    return str(request.param)


@pytest.fixture
def make_archive(tmp_path: Path, topology: str) -> Iterator[MakeArchive]:
    """`make_archive("--workers", "2", peers=[…])` gives an archive that is not started yet."""
    made: list[RunningArchive] = []

    def make(*arguments: str, **options: object) -> RunningArchive:
        folder = tmp_path / f"archive{len(made)}"
        folder.mkdir()
        stores = environment(topology, folder)
        made.append(RunningArchive(folder, *arguments, environment=stores, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for archive in made:
        archive.kill()
        remove_stores(archive.environment)
