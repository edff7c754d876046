"""Events become entries, whether they carry the header or only say where it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gantry.common.dicom.scan.header import ScanLimits
from gantry.common.dicom.scan.layout import Layout, unpack_layout
from gantry.common.dicom.scan.scanner import Scanner
from gantry.common.errors import GantryError
from gantry.common.events import InstanceStored
from gantry.common.ports.index import Applied, Outcome
from gantry.services.indexer.entries import MAX_HEAD, conflict_of, entry_of, head_length, head_parts
from tests.support.dicom import DEFLATED, EXPLICIT, SYNTAXES, data_sets, to_bytes
from tests.support.facts import stored

PATIENT_ID, NAME = 0x00100020, 0x00100010


def event_of(data: bytes, syntax: str, limits: ScanLimits = ScanLimits()) -> InstanceStored:
    scanner = Scanner(syntax, limits)
    scanner.feed(data)
    scan = scanner.finish()
    return replace(
        stored(1),
        transfer_syntax_uid=syntax,
        header=scan.header,
        header_length=scan.header_length,
        bulk=scan.bulk,
        data_set_length=len(data),
    )


def read(event: InstanceStored, data: bytes) -> bytes:
    """The parts of a data set that an event says are needed of it."""
    return b"".join(data[offset : offset + length] for offset, length in head_parts(event))


@given(data_sets(), st.sampled_from(SYNTAXES))
def test_an_event_that_was_sealed_without_its_header_gives_the_same_entry(data_set: Dataset, syntax: str) -> None:
    data_set.PatientName = "Müller"
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data = to_bytes(data_set, syntax)
    event = event_of(data, syntax)
    assert entry_of(replace(event, header=None), read(event, data)) == entry_of(event)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_long_bulk_value_before_the_patient_is_passed_over(syntax: str) -> None:
    data_set = Dataset()
    data_set.SOPClassUID = data_set.SOPInstanceUID = data_set.StudyInstanceUID = data_set.SeriesInstanceUID = "1.2"
    data_set.PatientID = "P1"
    data_set.private_block(0x0009, "SOMEBODY", create=True).add_new(1, "OB", bytes(MAX_HEAD))
    data_set.private_block(0x0009, "SOMEBODY").add_new(2, "OB", b"ab" * 1000)
    data = to_bytes(data_set, syntax)
    event = event_of(data, syntax)
    bare = replace(event, header=None)
    if syntax != DEFLATED:
        assert head_length(bare) < 3000 if event.bulk else True
    if event.bulk and syntax != DEFLATED:
        assert entry_of(bare, read(event, data)) == entry_of(event)
        assert entry_of(bare, read(event, data)).attributes[PATIENT_ID] == ["P1"]


@given(data_sets(), st.sampled_from(SYNTAXES))
def test_a_claim_check_gives_the_same_entry(data_set: Dataset, syntax: str) -> None:
    data_set.PatientName = "Müller"
    data_set.SpecificCharacterSet = "ISO_IR 192"
    data = to_bytes(data_set, syntax)
    carried = event_of(data, syntax)
    referred = event_of(data, syntax, ScanLimits(max_header=0))
    assert carried.header is not None
    assert referred.header is None
    entry = entry_of(referred, read(referred, data))
    # What was too much for the event is too much for the layout.
    assert replace(entry, layout=b"") == replace(entry_of(carried), layout=b"")
    assert unpack_layout(entry_of(carried).layout) == Layout(carried.header_length, carried.bulk, carried.pixel_data)
    assert entry.attributes[NAME] == [{"Alphabetic": "Müller"}]


def test_a_large_header_is_read_up_to_a_limit() -> None:
    data_set = Dataset()
    data_set.SOPClassUID = data_set.SOPInstanceUID = data_set.StudyInstanceUID = data_set.SeriesInstanceUID = "1.2"
    data_set.PatientID = "P1"
    data_set.add_new(0x00204000, "LT", "x" * (MAX_HEAD // 2))
    data_set.add_new(0x00324000, "UT", "x" * (2 * MAX_HEAD))
    for syntax in (EXPLICIT, DEFLATED):
        data = to_bytes(data_set, "1.2.840.10008.1.2" if syntax == EXPLICIT else syntax)
        event = event_of(data, "1.2.840.10008.1.2" if syntax == EXPLICIT else syntax)
        assert event.header is None
        assert head_length(event) <= MAX_HEAD + 4096
        assert entry_of(event, read(event, data)).attributes[PATIENT_ID] == ["P1"]


@given(st.binary(max_size=200), st.sampled_from(SYNTAXES))
def test_a_hostile_header_raises_only_our_errors(junk: bytes, syntax: str) -> None:
    try:
        entry_of(replace(stored(1), header=junk, transfer_syntax_uid=syntax))
        entry_of(replace(stored(1), header=None, header_length=len(junk), transfer_syntax_uid=syntax), junk)
    except GantryError:
        return


def test_a_conflict_is_told_with_both_sides() -> None:
    assert conflict_of(stored(1), Applied(Outcome.ADDED), 5) is None
    conflict = conflict_of(stored(1), Applied(Outcome.CONFLICT, "r1", "d1", "r2", "d2"), 5)
    assert conflict is not None
    assert (conflict.kept_receipt, conflict.kept_digest, conflict.aside_receipt, conflict.aside_digest) == (
        "r1",
        "d1",
        "r2",
        "d2",
    )
    assert (conflict.study_instance_uid, conflict.found_at) == ("1.2.3", 5)


@pytest.mark.parametrize(
    "name", ["study_instance_uid", "series_instance_uid", "sop_instance_uid", "object_key", "digest"]
)
def test_an_entry_names_what_the_event_names(name: str) -> None:
    event = replace(stored(7), header=b"")
    assert getattr(entry_of(event), name) == getattr(event, name)
