"""Settings of the stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gantry.common.config.store_sections import S3, Kafka, OpenSearch


@pytest.mark.parametrize(
    ("section", "given", "reason"),
    [
        (S3, {"access_key": "a"}, "needed together"),
        (Kafka, {"sasl": "PLAIN", "username": "u"}, "sasl needs"),
        (Kafka, {"replication": 1, "min_insync": 2}, "cannot be more"),
        (OpenSearch, {"password_file": Path("p")}, "needed together"),
        (S3, {"part_size": 1}, "greater than or equal"),
    ],
)
def test_half_of_what_a_server_needs_is_refused(section: Any, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        section(**given)


def test_what_belongs_together_is_taken() -> None:
    assert S3(access_key="a", secret_key_file=Path("s")).region == "us-east-1"
    assert Kafka(replication=1, min_insync=1).min_insync == 1
