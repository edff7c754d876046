"""Settings: sources in order, unknown names refused, errors with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gantry.common.config.load import load_settings
from gantry.common.config.reference import settings_as_markdown
from gantry.common.config.settings import Settings
from gantry.common.config.values import Section
from gantry.common.errors import ConfigError

NO_AE_TITLE = "not an AE title (PS3.5 6.2: 1 to 16 characters, no backslash)"


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "gantry.yaml"
    file.write_text(text)
    return file


def test_defaults_need_no_file() -> None:
    settings = load_settings(None, {})
    assert settings == Settings()
    assert settings.log_url.endswith("/var/log.db")
    assert settings.log_url.startswith("sqlite:///")


def test_later_sources_win(tmp_path: Path) -> None:
    file = written(tmp_path, "dimse:\n  port: 104\n  ae_title: CENTRAL\n  artim: 7\npeers: []\n")
    environment = {"GANTRY_DIMSE__PORT": "105", "GANTRY_DIMSE__ARTIM": "8.5", "GANTRY_LAB": "true", "PATH": "/bin"}
    settings = load_settings(file, environment, {"dimse.port": 106, "http.port": None, "data": Path("/d")})
    assert (settings.dimse.ae_title, settings.dimse.artim, settings.dimse.port) == ("CENTRAL", 8.5, 106)
    assert settings.lab is True
    assert settings.http.port == 8080
    assert settings.objects_url == "file:///d/objects"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("dimse:\n  port: 104\n  prot: 1\n", 3, "dimse.prot: unknown key"),
        ("logs:\n  level: info\nnonsense: 1\n", 3, "nonsense: unknown key"),
        ("# comment\ndimse:\n\n  port: 70000\n", 4, "dimse.port: Input should be less than or equal to 65535"),
        (
            "dimse:\n  ae_title: 'A\\B'\n",
            2,
            f"dimse.ae_title: {NO_AE_TITLE}",
        ),
        (
            "dimse:\n  private_sop_classes:\n    - 1.2.3\n    - 1..2\n",
            4,
            "dimse.private_sop_classes.1: not a UID (PS3.5 9.1)",
        ),
        ("tls:\n  certificate: a.pem\n", 1, "tls: a certificate and its key are needed together"),
        ("dimse:\n  port: 1\n  port: 2\n", 3, 'found duplicate key "port" with value "2" (original value: "1")'),
        ("dimse: [\n", 2, "expected the node content, but found '<stream end>'"),
        ("- a\n", 1, "a mapping of sections is expected"),
        ("dimse:\n  artim: .nan\n", 2, "dimse.artim: Input should be a finite number"),
    ],
)
def test_error_in_a_file_names_file_line_and_reason(tmp_path: Path, text: str, line: int, reason: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        load_settings(file, {})
    assert str(error.value) == f"{file}:{line}: {reason}"


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("GANTRY_DIMSE__PROT", "1", "dimse.prot: unknown setting"),
        ("GANTRY_DIMS__PORT", "1", "dims.port: unknown setting"),
        ("GANTRY_LAB__X", "1", "lab.x: Input should be a valid boolean"),
        ("GANTRY_DIMSE__PORT", "many", "dimse.port: Input should be a valid integer"),
    ],
)
def test_error_in_the_environment_names_the_variable(variable: str, value: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable}.*{reason}"):
        load_settings(None, {variable: value})


def test_variables_that_are_no_settings_are_left_alone() -> None:
    assert load_settings(None, {"GANTRY_FAILPOINTS": "before-commit=kill", "GANTRY_CONFIG": "x"}) == Settings()


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "gantry.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError):
        load_settings(file, {})


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().dimse.port = 1  # type: ignore[misc]


def test_every_setting_says_what_it_means() -> None:
    sections = [Settings, *(type(f.default) for f in Settings.model_fields.values() if isinstance(f.default, Section))]
    assert len(sections) > 5
    for section in sections:
        for name, field in section.model_fields.items():
            assert field.description or isinstance(field.default, Section), f"{section.__name__}.{name}"


def test_committed_docs_of_settings_are_current() -> None:
    assert (Path(__file__).parents[4] / "docs/settings.md").read_text() == settings_as_markdown()


def test_what_belongs_together_may_come_in_several_variables() -> None:
    names = {"CERTIFICATE": "a.pem", "KEY": "a.key", "CA": "ca.pem"}
    settings = load_settings(None, {f"GANTRY_TLS__{name}": value for name, value in names.items()})
    assert (settings.tls.certificate, settings.tls.key, settings.tls.ca) == tuple(map(Path, names.values()))
    with pytest.raises(ConfigError, match=r"GANTRY_TLS__CERTIFICATE.*certificate and its key are needed together"):
        load_settings(None, {"GANTRY_TLS__CERTIFICATE": "a.pem", "GANTRY_LAB": "true"})
