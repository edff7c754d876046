"""The key service that settings name, and the file that holds its keys."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from gantry.common.adapters.key_file import KeyFile, read_keys
from gantry.common.adapters.kms import Kms
from gantry.common.config.settings import Settings
from gantry.common.config.store_sections import Encryption
from gantry.common.errors import ConfigError
from gantry.services.process.key_services import add_key, key_service


def test_a_file_of_keys_is_for_its_owner_and_keeps_what_was_in_it(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    add_key(file, "a")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first = read_keys(file)["a"]
    file.write_text(f"# ours\n{file.read_text().rstrip()}")
    add_key(file, "b")
    assert list(read_keys(file)) == ["a", "b"]
    assert read_keys(file)["a"] == first
    assert file.read_text().startswith("# ours\n")
    with pytest.raises(ConfigError, match="a key b exists already"):
        add_key(file, "b")
    with pytest.raises(ConfigError, match="64 letters"):
        add_key(file, "no spaces")
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_settings_name_a_file_a_server_or_nothing(tmp_path: Path) -> None:
    add_key(tmp_path / "keys", "a")
    assert key_service(Encryption()) is None
    assert isinstance(key_service(Encryption(key_file=tmp_path / "keys")), KeyFile)
    assert isinstance(key_service(Encryption(kms_key="alias/gantry")), Kms)
    with pytest.raises(ConfigError, match="gantry keys new"):
        key_service(Encryption(key_file=tmp_path / "none"))
    (tmp_path / "secret").write_text("of ours\n")
    named = {"kms_key": "alias/gantry", "access_key": "us"}
    assert isinstance(key_service(Encryption(**named, secret_key_file=tmp_path / "secret")), Kms)
    with pytest.raises(ConfigError, match="cannot be read"):
        key_service(Encryption(**named, secret_key_file=tmp_path / "none"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"key_file": "a", "kms_key": "b"}, "not both"),
        ({"kms_key": "b", "access_key": "c"}, "needed together"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_in_words(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Encryption(**given)


def test_an_archive_that_must_be_asked_is_not_encrypted() -> None:
    cold = {"name": "glacier", "url": "s3://cold", "availability": "offline"}
    with pytest.raises(ValidationError, match=r"glacier of .* is restored on request"):
        Settings(encryption={"kms_key": "alias/gantry"}, tiers={"stores": [cold]})
