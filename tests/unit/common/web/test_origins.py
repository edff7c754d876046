"""`gantry.common.web.origins`: a proof as a header's value, and addresses as both sides see them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.errors import OriginRefused
from gantry.common.web.origins import normal_address, proof_of_text, text_of_proof


@given(proof=st.binary(min_size=1, max_size=100))
def test_a_proof_comes_back_from_its_text(proof: bytes) -> None:
    text = text_of_proof(proof)
    assert proof_of_text(text) == proof
    assert not {"\n", ","} & set(text)


def test_no_text_is_no_proof() -> None:
    assert proof_of_text("") == b""


@pytest.mark.parametrize("text", ["A", "ÄÄÄÄ", "A" * 1000])
def test_text_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(OriginRefused) as refused:
        proof_of_text(text)
    assert refused.value.kind == "forged"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("192.0.2.1", 80), "192.0.2.1:80"),
        (("::ffff:192.0.2.1", 80), "192.0.2.1:80"),
        (("fe80::1%eth0", 80), "fe80::1:80"),
        (("2001:db8:0::1", 80), "2001:db8::1:80"),
    ],
)
def test_an_address_has_one_form(address: tuple[str, int], text: str) -> None:
    assert normal_address(address) == text
