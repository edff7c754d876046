"""What an order is known by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.orders import order_key
from tests.support.orders import attributes

_FILLER = "FillerOrderNumberImagingServiceRequest"


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"AccessionNumber": "A1", _FILLER: "F1", "RequestedProcedureID": "R1"}, "A1"),
        ({_FILLER: "F1", "RequestedProcedureID": "R1"}, "filler:F1"),
        ({"RequestedProcedureID": "R1"}, "procedure:R1"),
        ({"AccessionNumber": "", _FILLER: "F1"}, "filler:F1"),
        ({"PatientID": "P1"}, ""),
    ],
)
def test_an_order_is_known_by_the_first_number_it_has(values: dict[str, str], key: str) -> None:
    assert order_key(attributes(**values)) == key


@pytest.mark.parametrize("name", ["LocalNamespaceEntityID", "UniversalEntityID"])
def test_the_issuer_of_an_accession_number_is_part_of_the_key(name: str) -> None:
    made = attributes(AccessionNumber="A1", IssuerOfAccessionNumberSequence=[attributes(**{name: "HOSPITAL"})])
    assert order_key(made) == "A1@HOSPITAL"


@pytest.mark.parametrize(("number", "key"), [(".", "%2E"), ("..", "%2E%2E"), ("1.2", "1.2"), ("%2E", "%252E")])
def test_a_key_is_never_a_place_in_a_path(number: str, key: str) -> None:
    """RFC 3986 5.2.4: a client leaves out segments that are dots."""
    assert order_key(attributes(AccessionNumber=number)) == key


_NUMBERS = st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=16)


@given(_NUMBERS, _NUMBERS, _NUMBERS)
def test_two_different_orders_never_have_one_key(accession: str, issuer: str, number: str) -> None:
    issued = attributes(
        AccessionNumber=accession, IssuerOfAccessionNumberSequence=[attributes(LocalNamespaceEntityID=issuer)]
    )
    keys = [
        order_key(order) for order in (issued, attributes(AccessionNumber=accession), attributes(**{_FILLER: number}))
    ]
    assert len(set(keys)) == 3


def test_a_number_that_looks_like_another_kind_of_key_is_none() -> None:
    issuer = [attributes(LocalNamespaceEntityID="B")]
    issued = attributes(AccessionNumber="A", IssuerOfAccessionNumberSequence=issuer)
    assert order_key(attributes(AccessionNumber="A@B")) != order_key(issued) == "A@B"
    assert order_key(attributes(AccessionNumber="filler:F1")) != order_key(attributes(**{_FILLER: "F1"}))
