"""Archives that a test starts, killed at its end whatever happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.archive import RunningArchive

MakeArchive = Callable[..., RunningArchive]


@pytest.fixture
def make_archive(tmp_path: Path) -> Iterator[MakeArchive]:
    """`make_archive("--workers", "2", peers=[…])` gives an archive that is not started yet."""
    made: list[RunningArchive] = []

    def make(*arguments: str, **options: object) -> RunningArchive:
        folder = tmp_path / f"archive{len(made)}"
        folder.mkdir()
        made.append(RunningArchive(folder, *arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for archive in made:
        archive.kill()
