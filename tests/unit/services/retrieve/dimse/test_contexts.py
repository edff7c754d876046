"""Presentation contexts for objects, and which of them one can go through."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.standard.transfer_syntaxes import TRANSFER_SYNTAXES
from gantry.common.ports.index import Location
from gantry.common.ul import AcceptedContext
from gantry.services.retrieve.dimse.contexts import UNCOMPRESSED, batches, choose, contexts_for, convertible

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
JPEG, MPEG = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.102"


def located(sop_class: str = CT, syntax: str = EXPLICIT, number: int = 1) -> Location:
    return Location("1.2", "1.3", f"1.4.{number}", sop_class, syntax, "k", 0, 10, "blake3:00")


def association(*contexts: AcceptedContext, requestor: bool = True) -> Any:
    return SimpleNamespace(contexts={cx.id: cx for cx in contexts}, is_requestor=requestor)


@pytest.mark.parametrize("syntax", sorted(TRANSFER_SYNTAXES))
def test_the_stored_syntax_stands_by_itself_so_that_the_peer_cannot_prefer_another(syntax: str) -> None:
    assert (CT, (syntax,)) in contexts_for(CT, syntax)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, JPEG])
def test_the_default_transfer_syntax_is_always_proposed(syntax: str) -> None:
    """PS3.5 10.1."""
    assert IMPLICIT in {each for _, syntaxes in contexts_for(CT, syntax) for each in syntaxes}


@given(st.lists(st.tuples(st.integers(0, 90), st.sampled_from([IMPLICIT, EXPLICIT, JPEG])), max_size=300))
def test_batches_keep_the_order_and_need_128_contexts_at_most(wanted: list[tuple[int, str]]) -> None:
    """PS3.8 9.3.2.2: odd numbers from 1 to 255."""
    locations = [located(f"1.2.{number}", syntax, n) for n, (number, syntax) in enumerate(wanted)]
    groups = list(batches(locations))
    assert [location for _, batch in groups for location in batch] == locations
    for contexts, batch in groups:
        assert batch
        assert len(contexts) == len(set(contexts)) <= 128
        for location in batch:
            assert set(contexts_for(location.sop_class_uid, location.transfer_syntax_uid)) <= set(contexts)


def test_the_stored_syntax_is_preferred_wherever_it_stands() -> None:
    stored, other = AcceptedContext(3, CT, JPEG), AcceptedContext(1, CT, EXPLICIT)
    assert choose(association(other, stored), located(syntax=JPEG)) == stored


def test_what_can_be_converted_goes_through_an_uncompressed_context() -> None:
    other = AcceptedContext(1, CT, IMPLICIT)
    assert choose(association(other), located(syntax=JPEG)) == other
    assert choose(association(other), located(syntax=EXPLICIT)) == other
    assert choose(association(other), located(syntax=MPEG)) is None


def test_nothing_goes_through_a_context_of_another_class_or_of_another_compression() -> None:
    assert choose(association(AcceptedContext(1, MR, EXPLICIT)), located()) is None
    assert choose(association(AcceptedContext(1, CT, JPEG)), located()) is None


@pytest.mark.parametrize(("requestor", "scu", "scp"), [(True, True, False), (False, False, True)])
def test_an_object_goes_only_where_we_are_the_scu(requestor: bool, scu: bool, scp: bool) -> None:
    """PS3.7 D.3.3.4: with C-GET the requestor has to be SCP."""
    ours = AcceptedContext(1, CT, EXPLICIT, requestor_is_scu=scu, requestor_is_scp=scp)
    theirs = AcceptedContext(1, CT, EXPLICIT, requestor_is_scu=scp, requestor_is_scp=scu)
    assert choose(association(ours, requestor=requestor), located()) == ours
    assert choose(association(theirs, requestor=requestor), located()) is None


def test_video_and_what_is_not_known_cannot_be_converted() -> None:
    assert all(convertible(syntax) for syntax in (*UNCOMPRESSED, JPEG, "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.2"))
    assert not any(convertible(syntax) for syntax in (MPEG, "1.2.3", "", "1.2.840.10008.1.2.4.94"))
