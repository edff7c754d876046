"""Requests read and reports written, against pydicom."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from gantry.common.commitment.wire import (
    TRANSFER_SYNTAXES,
    InvalidRequest,
    TooManyReferences,
    decode_action_information,
    decode_event_information,
    encode_action_information,
    encode_event_information,
)
from gantry.common.errors import GantryError
from gantry.common.events import CommitmentFailure, CommitmentReference

EXPLICIT, IMPLICIT = TRANSFER_SYNTAXES
UIDS = st.lists(st.integers(1, 999_999_999).map(str), min_size=2, max_size=6).map(".".join)
REFERENCES = st.lists(st.builds(CommitmentReference, UIDS, UIDS), min_size=1, max_size=8, unique=True)


def item(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def references_of(pairs: list[CommitmentReference]) -> Sequence:
    items = [
        item(ReferencedSOPClassUID=pair.sop_class_uid, ReferencedSOPInstanceUID=pair.sop_instance_uid) for pair in pairs
    ]
    return Sequence(items)


def encoded(ds: Dataset, syntax: str, undefined: bool = False) -> bytes:
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, syntax == IMPLICIT
    for element in ds:
        if element.VR == "SQ":
            element.is_undefined_length = undefined
            for sequence_item in element.value:
                sequence_item.is_undefined_length_sequence_item = undefined
    write_dataset(out, ds)
    return out.getvalue()


def decoded(data: bytes, syntax: str) -> Dataset:
    return read_dataset(BytesIO(data), is_implicit_VR=syntax == IMPLICIT, is_little_endian=True)


@given(UIDS, REFERENCES, st.sampled_from(TRANSFER_SYNTAXES), st.booleans())
def test_request_is_read_as_pydicom_writes_it(
    uid: str, references: list[CommitmentReference], syntax: str, undefined: bool
) -> None:
    ds = item(StorageMediaFileSetID="X", TransactionUID=uid, ReferencedSOPSequence=references_of(references))
    read = decode_action_information(encoded(ds, syntax, undefined), syntax, 8)
    assert read.transaction_uid == uid
    assert list(read.references) == references


def test_sequences_that_we_do_not_know_are_passed_over() -> None:
    inner = item(ReferencedSOPClassUID="1.2", ReferencedSOPInstanceUID="1.3", PurposeOfReferenceCodeSequence=[])
    inner.PurposeOfReferenceCodeSequence = Sequence([item(CodeValue="1", ReferencedSOPInstanceUID="9.9")])
    ds = item(
        ReferencedStudySequence=Sequence([item(ReferencedSOPInstanceUID="8.8", TransactionUID="7.7")]),
        TransactionUID="1.5",
        ReferencedSOPSequence=Sequence([inner]),
    )
    for syntax in TRANSFER_SYNTAXES:
        for undefined in (True, False):
            read = decode_action_information(encoded(ds, syntax, undefined), syntax, 8)
            assert (read.transaction_uid, read.references) == ("1.5", (CommitmentReference("1.2", "1.3"),))


def test_instance_named_twice_is_one() -> None:
    ds = item(TransactionUID="1.5", ReferencedSOPSequence=references_of([CommitmentReference("1.2", "1.3")] * 3))
    assert len(decode_action_information(encoded(ds, EXPLICIT), EXPLICIT, 1).references) == 1


@pytest.mark.parametrize(
    "ds",
    [
        item(),
        item(TransactionUID="1.5"),
        item(TransactionUID="1.5", ReferencedSOPSequence=Sequence()),
        item(ReferencedSOPSequence=references_of([CommitmentReference("1.2", "1.3")])),
        item(TransactionUID="", ReferencedSOPSequence=references_of([CommitmentReference("1.2", "1.3")])),
        item(TransactionUID="1.5", ReferencedSOPSequence=Sequence([item(ReferencedSOPClassUID="1.2")])),
        item(TransactionUID="1.5", ReferencedSOPSequence=references_of([CommitmentReference("1.2", "../../etc")])),
    ],
)
def test_request_that_names_nothing_or_nonsense_is_invalid(ds: Dataset) -> None:
    with pytest.raises(InvalidRequest):
        decode_action_information(encoded(ds, EXPLICIT), EXPLICIT, 8)


def test_more_references_than_allowed_are_refused() -> None:
    references = [CommitmentReference("1.2", f"1.3.{n}") for n in range(6)]
    data = encoded(item(TransactionUID="1.5", ReferencedSOPSequence=references_of(references)), EXPLICIT)
    assert len(decode_action_information(data, EXPLICIT, 6).references) == 6
    with pytest.raises(TooManyReferences):
        decode_action_information(data, EXPLICIT, 5)


@given(st.binary(max_size=300), st.sampled_from(TRANSFER_SYNTAXES))
def test_junk_raises_our_errors_only(data: bytes, syntax: str) -> None:
    with pytest.raises(GantryError):
        decode_action_information(data, syntax, 8)


@given(st.data(), st.sampled_from(TRANSFER_SYNTAXES))
def test_request_that_is_cut_or_changed_raises_our_errors_only(data: st.DataObject, syntax: str) -> None:
    ds = item(TransactionUID="1.5", ReferencedSOPSequence=references_of([CommitmentReference("1.2", "1.3")] * 2))
    good = bytearray(encoded(ds, syntax, data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(0, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_action_information(bytes(good[: data.draw(st.integers(0, len(good)))]), syntax, 8)
    except GantryError:
        pass


def test_deep_nesting_is_refused() -> None:
    deep = b"\x08\x00\x99\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    with pytest.raises(InvalidRequest):
        decode_action_information(deep, EXPLICIT, 8)


@given(UIDS, REFERENCES, REFERENCES, st.sampled_from(TRANSFER_SYNTAXES))
def test_report_is_read_back_by_pydicom(
    uid: str, committed: list[CommitmentReference], failed: list[CommitmentReference], syntax: str
) -> None:
    failures = [CommitmentFailure(r.sop_class_uid, r.sop_instance_uid, 0x0112) for r in failed]
    ds = decoded(encode_event_information(uid, "GANTRY", committed, failures, syntax), syntax)
    assert (ds.TransactionUID, ds.RetrieveAETitle) == (uid, "GANTRY")
    pairs = [(i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID) for i in ds.ReferencedSOPSequence]
    assert pairs == [(r.sop_class_uid, r.sop_instance_uid) for r in committed]
    assert [(i.ReferencedSOPInstanceUID, i.FailureReason) for i in ds.FailedSOPSequence] == [
        (r.sop_instance_uid, 0x0112) for r in failed
    ]


def test_report_without_failures_has_no_empty_sequence() -> None:
    ds = decoded(encode_event_information("1.5", "GANTRY", [CommitmentReference("1.2", "1.3")], [], EXPLICIT), EXPLICIT)
    assert "FailedSOPSequence" not in ds


@given(UIDS, REFERENCES, st.sampled_from(TRANSFER_SYNTAXES))
def test_a_request_of_ours_is_read_by_pydicom_and_by_us(
    uid: str, references: list[CommitmentReference], syntax: str
) -> None:
    data = encode_action_information(uid, references, syntax)
    ds = decoded(data, syntax)
    pairs = [(i.ReferencedSOPClassUID, i.ReferencedSOPInstanceUID) for i in ds.ReferencedSOPSequence]
    assert (ds.TransactionUID, pairs) == (uid, [(r.sop_class_uid, r.sop_instance_uid) for r in references])
    read = decode_action_information(data, syntax, len(references))
    assert (read.transaction_uid, list(read.references)) == (uid, references)


def reported(uid: str, committed: list[CommitmentReference], failed: list[CommitmentFailure]) -> Dataset:
    ds = item(RetrieveAETitle="DEEP", TransactionUID=uid)
    if committed:
        ds.ReferencedSOPSequence = references_of(committed)
    if failed:
        ds.FailedSOPSequence = references_of([CommitmentReference(f.sop_class_uid, f.sop_instance_uid) for f in failed])
        for row, failure in zip(ds.FailedSOPSequence, failed, strict=True):
            row.FailureReason = failure.reason
    return ds


@given(UIDS, REFERENCES, REFERENCES, st.sampled_from(TRANSFER_SYNTAXES), st.booleans())
def test_a_report_is_read_as_pydicom_writes_it(
    uid: str, committed: list[CommitmentReference], failed: list[CommitmentReference], syntax: str, undefined: bool
) -> None:
    failures = [CommitmentFailure(reference.sop_class_uid, reference.sop_instance_uid, 0x0112) for reference in failed]
    read = decode_event_information(encoded(reported(uid, committed, failures), syntax, undefined), syntax, 8)
    assert (read.transaction_uid, read.committed, list(read.failed)) == (uid, frozenset(committed), failures)


def test_a_failure_without_a_reason_is_a_processing_failure() -> None:
    ds = item(TransactionUID="1.5", FailedSOPSequence=references_of([CommitmentReference("1.2", "1.3")]))
    read = decode_event_information(encoded(ds, EXPLICIT), EXPLICIT, 8)
    assert read.failed == (CommitmentFailure("1.2", "1.3", 0x0110),)


@pytest.mark.parametrize("ds", [item(), item(TransactionUID="../x"), item(RetrieveAETitle="DEEP")])
def test_a_report_without_its_transaction_is_invalid(ds: Dataset) -> None:
    with pytest.raises(InvalidRequest):
        decode_event_information(encoded(ds, EXPLICIT), EXPLICIT, 8)


@pytest.mark.parametrize("where", ["ReferencedSOPSequence", "FailedSOPSequence"])
def test_a_report_that_names_more_than_was_asked_for_is_refused(where: str) -> None:
    ds = item(TransactionUID="1.5")
    setattr(ds, where, references_of([CommitmentReference("1.2", f"1.3.{n}") for n in range(6)]))
    decode_event_information(encoded(ds, EXPLICIT), EXPLICIT, 6)
    with pytest.raises(TooManyReferences):
        decode_event_information(encoded(ds, EXPLICIT), EXPLICIT, 5)


@given(st.binary(max_size=300), st.sampled_from(TRANSFER_SYNTAXES))
def test_junk_for_a_report_raises_our_errors_only(data: bytes, syntax: str) -> None:
    with pytest.raises(GantryError):
        decode_event_information(data, syntax, 8)
