"""Whole data sets: a marked value in every attribute of the table, and what is left of them under each option."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gantry.common.deidentify.moved_dates import moved
from gantry.common.deidentify.objects import Deidentifier
from gantry.common.deidentify.options import CODES, Option, profile_of
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.deidentify.table import TABLE
from gantry.common.dicom.encoding.elements import elements
from gantry.common.dicom.encoding.part10 import parse_meta
from gantry.common.dicom.standard.tags import (
    DEIDENTIFICATION_METHOD_CODE_SEQUENCE,
    PATIENT_ID,
    PATIENT_IDENTITY_REMOVED,
    PIXEL_DATA,
    SOP_INSTANCE_UID,
)
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.errors import NotDeidentified, NotUnderstood
from tests.support.dicom import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    SYNTAXES,
    bundled,
    bundled_file,
    from_bytes,
    to_bytes,
)
from tests.support.elements import Made, element
from tests.support.long import examples
from tests.support.marks import UNLISTED_SEQUENCE, Marked, mark, marked_tags, vr_for

KEY = b"a key for tests, of thirty bytes"
PLAIN = (IMPLICIT, EXPLICIT, BIG_ENDIAN)


def deidentifier(*options: str, checked: bool = False) -> Deidentifier:
    return Deidentifier(profile_of(options, pixels_checked=checked), Pseudonyms(KEY))


def done(data: bytes, syntax: str, *options: str, checked: bool = False) -> bytes:
    return b"".join(deidentifier(*options, checked=checked).deidentified(iter([data]), syntax).pieces)


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def searched(data: bytes) -> dict[int, bytes]:
    """Attributes of the table whose mark can be searched for in bytes; numbers of two bytes are everywhere."""
    return {tag: mark(tag).strip(b" \0") for tag in marked_tags() if vr_for(tag) not in (b"US", b"SQ", b"AS")}


def left_marks(data: bytes) -> set[int]:
    return {tag for tag, value in searched(data).items() if value in data}


@pytest.mark.parametrize("syntax", PLAIN)
def test_no_mark_is_left_by_the_basic_profile(syntax: str) -> None:
    marked = Marked(encoding_of(syntax))
    assert len(searched(marked.data)) > 560
    assert left_marks(marked.data) == set(searched(marked.data))
    cleaned = done(marked.data, syntax)
    assert left_marks(cleaned) == set()
    assert b"MARK" not in cleaned
    assert UNLISTED_SEQUENCE in {tag for tag, *_ in elements(cleaned, encoding_of(syntax))}


def test_no_mark_is_left_where_a_sender_says_that_vrs_are_unknown() -> None:
    """PS3.5 6.2.2: UN, as after a conversion by a system that has an older dictionary."""
    writer = Marked(encoding_of(EXPLICIT)).writer
    keep = (SOP_INSTANCE_UID,)
    data = b"".join(
        writer.plain(tag, b"UN", mark(tag)) if tag not in keep else writer.plain(tag, b"UI", mark(tag))
        for tag in sorted(marked_tags())
        if vr_for(tag) != b"SQ"
    )
    data = writer.plain(0x00080016, b"UI", b"1.2.840.10008.5.1.4.1.1.2\0") + data
    ordered = b"".join(data[a:b] for _, a, b in sorted(_whole_elements(data)))
    cleaned = done(ordered, EXPLICIT)
    assert left_marks(cleaned) == set()
    assert b"MARK" not in cleaned


def _whole_elements(data: bytes) -> Iterator[tuple[int, int, int]]:
    begin = 0
    for tag, _, _, end in elements(data, encoding_of(EXPLICIT)):
        yield tag, begin, end
        begin = end


@pytest.mark.parametrize(
    "option",
    [Option.UIDS, Option.DEVICE, Option.INSTITUTION, Option.PATIENT_CHARACTERISTICS, Option.FULL_DATES],
)
def test_an_option_keeps_what_its_column_says_and_nothing_else(option: Option) -> None:
    marked = Marked(encoding_of(EXPLICIT))
    cleaned = done(marked.data, EXPLICIT, option)
    tags = {tag for tag in searched(marked.data) if TABLE[tag].options.get(option) == "K"}
    assert tags
    assert left_marks(cleaned) == tags
    sequences = {tag for tag in marked_tags() if vr_for(tag) == b"SQ" and TABLE[tag].options.get(option) == "K"}
    with_meaning = {tag for tag in sequences if TABLE[tag].basic != "X/Z/U*"}
    assert all(f"MARK{tag:08X}".encode() in cleaned for tag in with_meaning)


def test_modified_dates_are_moved_by_as_many_days_and_times_stay() -> None:
    marked = Marked(encoding_of(EXPLICIT))
    cleaned = done(marked.data, EXPLICIT, Option.MODIFIED_DATES)
    rows = {tag for tag in searched(marked.data) if Option.MODIFIED_DATES in TABLE[tag].options}
    assert left_marks(cleaned) == {tag for tag in rows if vr_for(tag) == b"TM"}
    days = Pseudonyms(KEY).days(mark(PATIENT_ID).decode().strip())
    values = {tag: cleaned[start:end].strip() for tag, _, start, end in elements(cleaned, encoding_of(EXPLICIT))}
    dated = [tag for tag in rows if vr_for(tag) in (b"DA", b"DT")]
    assert len(dated) > 90
    for tag in dated:
        assert values[tag].decode() == moved(vr_for(tag), mark(tag).decode().strip(), days)


@pytest.mark.parametrize("option", [Option.DESCRIPTORS, Option.STRUCTURED_CONTENT, Option.GRAPHICS])
def test_an_option_that_cleans_leaves_no_mark(option: Option) -> None:
    cleaned = done(Marked(encoding_of(EXPLICIT)).data, EXPLICIT, option)
    assert left_marks(cleaned) == set()
    assert b"MARK" not in cleaned


@pytest.mark.parametrize("vr", [b"PN", b"LO", b"UN"], ids=["PN", "LO", "UN"])
def test_cleaned_descriptors_keep_words_about_images_and_lose_names(vr: bytes) -> None:
    data = Made(
        (0x00081030, element(0x00081030, b"LO", b"CT CHEST Jane Brenner, room 7 ")),
        (0x0008103E, element(0x0008103E, b"LO", b"ask nurse Kowalski")),
        (0x00080080, element(0x00080080, b"LO", b"CHEST CLINIC")),
        (0x00100010, element(0x00100010, vr, b"Hand^Jane ")),
        (0x00204000, element(0x00204000, b"LT", b"left hand ")),
    ).data
    cleaned = from_bytes(done(data, EXPLICIT, Option.DESCRIPTORS), EXPLICIT)
    assert cleaned.StudyDescription == "CT CHEST"
    assert "SeriesDescription" not in cleaned
    assert cleaned.ImageComments == "left"  # the patient's name is Hand
    assert cleaned.InstitutionName == "ANONYMIZED"


def report() -> bytes:
    def code(value: str, scheme: str, meaning: str) -> pydicom.Dataset:
        item = pydicom.Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        return item

    text, number, person = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    text.ValueType, text.ConceptNameCodeSequence = "TEXT", [code("121071", "DCM", "Finding")]
    text.TextValue = "Mrs. Brenner has a lesion in the left lung"
    number.ValueType, number.ConceptNameCodeSequence = "NUM", [code("L-1", "99LOCAL", "Brenner index")]
    value = pydicom.Dataset()
    value.NumericValue, value.MeasurementUnitsCodeSequence = "12.5", [code("mm", "UCUM", "mm")]
    number.MeasuredValueSequence = [value]
    person.ValueType, person.PersonName = "PNAME", "Brenner^Jane"
    whole = pydicom.Dataset()
    whole.SOPClassUID, whole.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.22", "1.2.3"
    whole.PatientName, whole.PatientID, whole.StudyInstanceUID = "Brenner^Jane", "4711", "1.2"
    whole.ContentSequence = [text, number, person]
    return to_bytes(whole, EXPLICIT)


def test_a_report_without_the_option_has_a_content_that_tells_nothing() -> None:
    cleaned = from_bytes(done(report(), EXPLICIT), EXPLICIT)
    [item] = cleaned.ContentSequence
    assert item.TextValue == "ANONYMIZED"
    assert b"Brenner" not in done(report(), EXPLICIT)


def test_cleaned_structured_content_keeps_codes_and_numbers() -> None:
    data = done(report(), EXPLICIT, Option.STRUCTURED_CONTENT)
    text, number, person = from_bytes(data, EXPLICIT).ContentSequence
    assert text.ConceptNameCodeSequence[0].CodeMeaning == "Finding"
    assert text.TextValue == "left lung"
    assert number.MeasuredValueSequence[0].NumericValue == 12.5
    assert number.ConceptNameCodeSequence[0].CodeMeaning == "ANONYMIZED"
    assert person.PersonName == "ANONYMIZED"
    assert b"Brenner" not in data


def annotations() -> bytes:
    label, shape, item, layer, whole = (pydicom.Dataset() for _ in range(5))
    label.UnformattedTextValue = "Brenner, left"
    shape.GraphicType, shape.GraphicData, shape.GraphicAnnotationUnits = "POLYLINE", [1.0, 2.0, 3.0, 4.0], "PIXEL"
    item.GraphicLayer, item.TextObjectSequence, item.GraphicObjectSequence = "ONE", [label], [shape]
    layer.GraphicLayer = "ONE"
    whole.SOPClassUID, whole.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.11.1", "1.2.3"
    whole.GraphicAnnotationSequence, whole.GraphicLayerSequence = [item], [layer]
    data = to_bytes(whole, EXPLICIT)
    overlay = element(0x60003000, b"OW", b"BRENNER!")
    return data + element(0x60000010, b"US", b"\x01\0") + element(0x60000022, b"LO", b"Brenner ") + overlay


def test_graphics_are_replaced_by_a_point_or_kept_without_their_texts() -> None:
    basic = from_bytes(done(annotations(), EXPLICIT), EXPLICIT)
    [annotation] = basic.GraphicAnnotationSequence
    assert annotation.GraphicLayer == "ONE"
    assert annotation.GraphicObjectSequence[0].GraphicType == "POINT"
    data = done(annotations(), EXPLICIT, Option.GRAPHICS)
    [annotation] = from_bytes(data, EXPLICIT).GraphicAnnotationSequence
    assert annotation.GraphicObjectSequence[0].GraphicData == [1.0, 2.0, 3.0, 4.0]
    assert b"renner" not in data
    assert b"BRENNER" not in data  # overlays go in any case
    assert (0x6000, 0x0010) not in from_bytes(data, EXPLICIT)


def test_safe_private_elements_stay_with_their_creator_and_others_go() -> None:
    path = bundled_file("CT_small.dcm")
    data = path.read_bytes()
    meta = parse_meta(data)
    cleaned = from_bytes(
        done(data[meta.data_set_offset :], meta.transfer_syntax_uid, Option.SAFE_PRIVATE), meta.transfer_syntax_uid
    )
    private = {(e.tag.group, e.tag.element) for e in cleaned if e.tag.is_private}
    assert private == {(0x19, 0x10), (0x19, 0x1023), (0x19, 0x1024), (0x19, 0x1027), (0x25, 0x10), (0x25, 0x1007)}
    plain = from_bytes(done(data[meta.data_set_offset :], meta.transfer_syntax_uid), meta.transfer_syntax_uid)
    assert not [e for e in plain if e.tag.is_private]


def test_says_that_and_how_it_was_done() -> None:
    chosen = [option for option in Option if option is not Option.FULL_DATES]
    cleaned = from_bytes(done(Made().data, EXPLICIT, *chosen), EXPLICIT)
    assert cleaned.PatientIdentityRemoved == "YES"
    assert cleaned.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = {item.CodeValue: item.CodeMeaning for item in cleaned.DeidentificationMethodCodeSequence}
    assert codes.pop("113100").startswith("Basic Application")
    assert codes == dict(CODES[option] for option in chosen)
    assert from_bytes(done(Made().data, EXPLICIT), EXPLICIT).LongitudinalTemporalInformationModified == "REMOVED"
    full = from_bytes(done(Made().data, EXPLICIT, Option.FULL_DATES), EXPLICIT)
    assert full.LongitudinalTemporalInformationModified == "UNMODIFIED"


@pytest.mark.parametrize("path", bundled(), ids=lambda path: path.name)
@pytest.mark.parametrize("options", [(), tuple(o for o in Option if o is not Option.FULL_DATES)], ids=["basic", "all"])
def test_a_real_file_is_a_data_set_afterwards_with_the_same_pixels(path: object, options: tuple[str, ...]) -> None:
    data = path.read_bytes()  # type: ignore[attr-defined]
    try:
        meta = parse_meta(data)
        syntax = meta.transfer_syntax_uid
        cleaned = done(data[meta.data_set_offset :], syntax, *options, checked=True)
    except (NotUnderstood, NotDeidentified):
        pytest.skip("it cannot be read, or is of a kind that is refused")
    before = pydicom.dcmread(io.BytesIO(data))
    after = from_bytes(cleaned, syntax)
    after.decode()
    assert after.get("PixelData") == before.get("PixelData")
    assert after.get("Rows") == before.get("Rows")
    assert list(after.keys()) == sorted(after.keys())


def test_most_of_the_real_files_were_looked_at() -> None:
    looked = 0
    for path in bundled():
        data = path.read_bytes()
        try:
            meta = parse_meta(data)
            done(data[meta.data_set_offset :], meta.transfer_syntax_uid, checked=True)
        except (NotUnderstood, NotDeidentified):
            continue
        looked += 1
    assert looked > 60


@given(size=st.integers(1, 4000), syntax=st.sampled_from(SYNTAXES))
@settings(max_examples=examples(80), deadline=None)
def test_the_result_does_not_depend_on_how_the_bytes_come(size: int, syntax: str) -> None:
    source = pydicom.dcmread(bundled_file("CT_small.dcm"))
    data = to_bytes(pydicom.Dataset(source), syntax) if syntax != BIG_ENDIAN else Marked(encoding_of(syntax)).data
    result = deidentifier().deidentified(in_pieces(data, size), syntax)
    assert b"".join(result.pieces) == done(data, syntax)


@given(study=st.integers(0, 10**6), instances=st.lists(st.integers(0, 10**6), min_size=2, max_size=5, unique=True))
@settings(max_examples=examples(80), deadline=None)
def test_references_within_a_study_still_lead_to_its_instances(study: int, instances: list[int]) -> None:
    uids = [f"1.2.{study}.{number}" for number in instances]
    written = set()
    for uid in uids:
        data = Made(instance=uid, study=f"1.2.{study}").data
        result = deidentifier().deidentified(iter([data]), EXPLICIT)
        after = from_bytes(b"".join(result.pieces), EXPLICIT)
        assert after.SOPInstanceUID == result.sop_instance_uid
        assert after.StudyInstanceUID == Pseudonyms(KEY).uid(f"1.2.{study}")
        written.add(result.sop_instance_uid)
    referring = pydicom.Dataset()
    referring.SOPClassUID, referring.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.99"
    items = []
    for uid in uids:
        item = pydicom.Dataset()
        item.ReferencedSOPInstanceUID = uid
        items.append(item)
    referring.ReferencedImageSequence = items
    after = from_bytes(done(to_bytes(referring, EXPLICIT), EXPLICIT), EXPLICIT)
    assert {item.ReferencedSOPInstanceUID for item in after.ReferencedImageSequence} == written


def test_memory_does_not_hold_pixel_data() -> None:
    """Pieces of it leave as they come: the source is never more than a piece ahead."""
    count = 0

    def source() -> Iterator[bytes]:
        nonlocal count
        yield Made().data + element(PIXEL_DATA, b"OW", b"", 100 * 65536)
        for _ in range(100):
            count += 1
            yield bytes(65536)

    result = deidentifier().deidentified(source(), EXPLICIT)
    assert count <= 1
    seen = 0
    for piece in result.pieces:
        seen += len(piece)
        assert count * 65536 - seen < 3 * 65536


def test_a_data_set_that_is_cut_off_is_refused() -> None:
    data = Made().data + element(PIXEL_DATA, b"OW", b"12", 100)
    result = deidentifier().deidentified(iter([data]), EXPLICIT)
    with pytest.raises(NotUnderstood):
        b"".join(result.pieces)
    with pytest.raises(NotUnderstood):
        deidentifier().deidentified(iter([Made().data[:-3]]), EXPLICIT)


def test_an_object_of_which_pixels_nothing_is_known_is_refused_until_somebody_has_looked() -> None:
    data = Made(sop_class="1.2.840.10008.5.1.4.1.1.7").data + element(PIXEL_DATA, b"OW", b"12")
    with pytest.raises(NotDeidentified, match="nothing says"):
        deidentifier().deidentified(iter([data]), EXPLICIT)
    assert done(data, EXPLICIT, checked=True).endswith(b"12")


def test_a_deflated_data_set_is_deflated_afterwards() -> None:
    data = to_bytes(pydicom.dcmread(bundled_file("CT_small.dcm")), DEFLATED)
    cleaned = from_bytes(done(data, DEFLATED), DEFLATED)
    assert cleaned.PatientIdentityRemoved == "YES"


def test_what_another_de_identification_said_is_replaced() -> None:
    data = Made((0x00120063, element(0x00120063, b"LO", b"removed Brenner "))).data
    cleaned = done(data, EXPLICIT)
    assert b"Brenner" not in cleaned
    tags = [tag for tag, *_ in elements(cleaned, encoding_of(EXPLICIT))]
    assert tags.count(PATIENT_IDENTITY_REMOVED) == tags.count(DEIDENTIFICATION_METHOD_CODE_SEQUENCE) == 1
