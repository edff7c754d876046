"""Settings of what is spoken over the network."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gantry.common.config.network_sections import Http, Tls, rejecting_tokens
from gantry.common.config.values import REJECTION_CODES


def test_who_may_delete_may_reject_with_every_code_unless_narrowed() -> None:
    http = Http(may_delete=("ris", "loopback"), may_reject=("ris=113001", "ris=113037", "ward=113001"))
    assert rejecting_tokens(http) == {
        "ris": {"113001", "113037"},
        "loopback": REJECTION_CODES,
        "ward": {"113001"},
    }


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"certificate": Path("c")}, "needed together"),
        ({"certificate": Path("c"), "key": Path("k")}, "needs `ca`"),
    ],
)
def test_half_of_what_tls_needs_is_refused(given: dict[str, Path], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Tls(**given)  # type: ignore[arg-type]
    Tls(certificate=Path("c"), key=Path("k"), require_client_certificate=False)
