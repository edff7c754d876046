"""The folders of embedded stores: several processes may make them at once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from gantry.common.errors import ConfigError
from gantry.services.commands import serve
from gantry.services.process import stores


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder is there when it is looked for: another process makes it right afterwards."""
    monkeypatch.setattr(Path, "exists", lambda *_: False)


def settings(data: Path) -> SimpleNamespace:
    storage = SimpleNamespace(objects=f"file://{data}/objects", log=f"sqlite://{data}/log.db", index="", tiers=())
    return SimpleNamespace(data=data, storage=storage)


@pytest.mark.usefixtures("unseen")
def test_a_folder_that_another_process_makes_meanwhile_is_as_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setattr(serve, "_urls", lambda _: (f"file://{data}/objects",))
    serve._require_data(settings(data))  # type: ignore[arg-type]
    stores._make_folders([urlsplit(f"sqlite://{data}/a/b/log.db")])
    assert (data / "a" / "b").is_dir()


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(serve, "_urls", lambda _: ("file:///objects",))
    with pytest.raises(ConfigError, match="cannot be created"):
        serve._require_data(settings(tmp_path / "file" / "data"))  # type: ignore[arg-type]
