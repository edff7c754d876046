"""docs/settings.md says what the settings are."""

from __future__ import annotations

from pathlib import Path

from gantry.common.config.reference import settings_as_markdown
from gantry.common.config.settings import Settings
from gantry.common.config.values import Section

TEXT = settings_as_markdown()


def test_every_setting_has_a_row() -> None:
    def check(section: type[Section], prefix: str) -> None:
        for name, field in section.model_fields.items():
            if isinstance(field.default, Section):
                assert f"\n## `{prefix}{name}`\n" in TEXT
                check(type(field.default), f"{prefix}{name}.")
            else:
                assert TEXT.count(f"\n| `{prefix}{name}` |") == 1

    check(Settings, "")


def test_a_default_is_the_one_that_counts() -> None:
    settings = Settings()
    assert f"| `dimse.port` | `{settings.dimse.port}` |" in TEXT
    assert f"| `lab` | `{str(settings.lab).lower()}` |" in TEXT


def test_the_values_of_a_closed_set_are_named() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `logs.level`")]
    assert len(rows) == 1
    assert all(f"`{level}`" in rows[0] for level in ("debug", "info", "warning", "error"))


def test_every_row_has_as_many_columns_as_its_table() -> None:
    columns = 0
    for line in TEXT.splitlines():
        if line.startswith("|---"):
            columns = line.count("|")
        elif line.startswith("| `"):
            assert line.count("|") - line.count("\\|") == columns, line


def test_the_document_is_current() -> None:
    assert (Path(__file__).parents[4] / "docs/settings.md").read_text(encoding="utf-8") == TEXT, "run `make docs`"
