"""`gantry.common.net.certificates`: whose certificate it is."""

from __future__ import annotations

from typing import Any

import pytest

from gantry.common.net.certificates import name_in


def subject(*names: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    return ((("organizationName", "Hospital"),), *((("commonName", name),) for name in names))


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        (None, ""),
        ({}, ""),
        ({"subject": subject("ct1")}, "ct1"),
        ({"subject": subject("ct1"), "subjectAltName": (("DNS", "other"),)}, "ct1"),
        ({"subject": subject(), "subjectAltName": (("IP Address", "192.0.2.1"), ("DNS", "ct1"), ("DNS", "x"))}, "ct1"),
        ({"subject": subject("ct1", "ct2")}, ""),
        ({"subject": subject()}, ""),
        ({"subject": subject("ct1\nadmitted")}, ""),
    ],
)
def test_a_certificate_has_one_name_or_none(certificate: dict[str, Any] | None, name: str) -> None:
    assert name_in(certificate) == name
