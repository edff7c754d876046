"""`gantry.common.config.seen_studies`: an entry says what is seen, or is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.seen_studies import SeenStudies, seen_studies_as_markdown


def test_entry_has_the_values_that_it_names() -> None:
    entry = SeenStudies.model_validate({"institution": ["North"], "modality": ["CT", "MR"]})
    assert (entry.institution, entry.modality, entry.patient) == (("North",), ("CT", "MR"), ())


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"institution": []},
        {"institution": [""]},
        {"institution": "North"},
        {"ward": ["7"]},
        {"patient": ["a\\b"]},
        {"patient": ["a\nb"]},
        {"patient": ["x" * 257]},
        {"modality": ["CT"] * 65},
    ],
)
def test_entry_that_is_not_understood_or_shows_everything_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SeenStudies.model_validate(entry)


def test_every_key_is_in_the_document() -> None:
    document = seen_studies_as_markdown()
    assert all(f"| `{name}` |" in document for name in SeenStudies.model_fields)
