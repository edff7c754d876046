"""`gantry.common.config.secret_files`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gantry.common.config.secret_files import SecretFile, secret_of, text_of
from gantry.common.errors import ConfigError
from tests.support.log_lines import log_lines


def replace(file: Path, text: str) -> None:
    """As Kubernetes does: another file takes its name."""
    (new := file.with_suffix(".new")).write_text(text)
    os.replace(new, file)


def test_a_secret_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    (file := tmp_path / "secret").write_text("first\n")
    secret = SecretFile(file, "kafka.password_file")
    assert secret.text == "first"
    replace(file, "  second\n")
    with log_lines() as logged:
        assert [secret.text, secret.text] == ["second", "second"]
    assert [line["setting"] for line in logged.of("a secret was replaced")] == ["kafka.password_file"]
    assert "second" not in str(logged.of("a secret was replaced"))


def test_one_that_is_written_anew_as_it_was_is_not_called_replaced(tmp_path: Path) -> None:
    (file := tmp_path / "secret").write_text("first\n")
    secret = SecretFile(file, "kafka.password_file")
    replace(file, "first\n")
    with log_lines() as logged:
        assert secret.text == "first"
    assert logged.of("a secret was replaced") == []


@pytest.mark.parametrize("become", ["", " \n", None], ids=["empty", "blank", "gone"])
def test_one_that_cannot_be_read_any_more_stays_in_use_and_the_next_one_counts(
    tmp_path: Path, become: str | None
) -> None:
    (file := tmp_path / "secret").write_text("first")
    secret = SecretFile(file, "s3.secret_key_file")
    if become is None:
        file.unlink()
    else:
        replace(file, become)
    with log_lines() as logged:
        assert [secret.text, secret.text] == ["first", "first"]
    assert len(logged.of("a secret cannot be read; the one before stays in use")) == 1
    replace(file, "third")
    assert secret.text == "third"


def test_without_a_file_or_with_an_empty_one_nothing_begins(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        SecretFile(tmp_path / "none", "kafka.password_file")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        SecretFile(tmp_path / "empty", "kafka.password_file")


def test_it_is_never_printed(tmp_path: Path) -> None:
    (file := tmp_path / "secret").write_text("hush")
    assert "hush" not in repr(SecretFile(file, "x"))


def test_no_file_is_no_secret(tmp_path: Path) -> None:
    assert secret_of(None, "x") is None
    assert [text_of(None), text_of("plain")] == ["", "plain"]
    (file := tmp_path / "secret").write_text("hush")
    assert text_of(secret_of(file, "x")) == "hush"
