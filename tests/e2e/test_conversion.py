"""Receivers that do not take the stored transfer syntax: converted for them, and nobody else's bytes are touched."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from gantry.cli.files import DicomFile
from gantry.cli.identifiers import identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from tests.e2e.conftest import Site
from tests.support import waiting as asking
from tests.support.dcmtk import content
from tests.support.dicom import from_bytes
from tests.support.objects import sample
from tests.support.pynetdicom_peers import Kept, Scp, associated

IMPLICIT, EXPLICIT, JPEG_BASELINE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50"
COMPRESSED = (
    "MR_small_RLE.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "MR_small_jp2klossless.dcm",
    "693_J2KI.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "JPGExtended.dcm",
)


def stored(site: Site, folder: Path, name: str) -> DicomFile:
    file = sample(folder, name)
    asking.store(site.modality, [file])
    asking.wait_found(site.modality, file)
    return file


def fetched(site: Site, file: DicomFile, syntaxes: Sequence[str]) -> tuple[str, bytes]:
    """By C-GET, with a context for each transfer syntax."""
    receiver = Kept()
    contexts = [(file.sop_class_uid, [syntax]) for syntax in syntaxes]
    with associated(
        site.modality, [*contexts, (STUDY_ROOT_GET, [EXPLICIT])], kept=receiver, as_scp=[file.sop_class_uid]
    ) as association:
        *_, (final, _) = association.send_c_get(study_query(file), STUDY_ROOT_GET)
    assert final.Status == 0x0000, final
    return receiver.data[file.sop_instance_uid]


def moved(site: Site, file: DicomFile, syntaxes: Sequence[str]) -> tuple[Any, Kept]:
    with Scp("DEST", site.ports["DEST"], syntaxes=syntaxes) as scp:
        with associated(site.modality, [(STUDY_ROOT_MOVE, [EXPLICIT])]) as association:
            *_, (final, _) = association.send_c_move(study_query(file), "DEST", STUDY_ROOT_MOVE)
    return final, scp.kept


def study_query(file: DicomFile) -> Dataset:
    ds = pydicom.dcmread(file.path, stop_before_pixels=True)
    return identifier("STUDY", [f"StudyInstanceUID={ds.StudyInstanceUID}"])


def as_file(syntax: str, data: bytes) -> Dataset:
    """What was received, with what pydicom needs to decode its pixels."""
    ds = from_bytes(data, syntax)
    out = BytesIO()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    pydicom.dcmwrite(out, ds, enforce_file_format=True)
    out.seek(0)
    return pydicom.dcmread(out)


def check_same_but_pixels(came: Dataset, original: Dataset) -> None:
    """Implicit VR does not say what a private element is, so those are only counted."""
    about_pixels = {0x00280004, 0x00280006, 0x7FE00010}
    ours, theirs = (
        [(e.tag, e.VR, e.value) for e in ds.iterall() if e.VR != "SQ" and not e.tag.is_private]
        for ds in (came, original)
    )
    assert [e for e in ours if e[0] not in about_pixels] == [e for e in theirs if e[0] not in about_pixels]
    assert {e.tag for e in came} == {e.tag for e in original}


@pytest.mark.parametrize("name", ["CT_small.dcm", "waveform_ecg.dcm", "test-SR.dcm"])
def test_a_peer_that_takes_only_implicit_vr_gets_every_element_in_it(site: Site, tmp_path: Path, name: str) -> None:
    file = stored(site, tmp_path, name)
    syntax, data = fetched(site, file, [IMPLICIT])
    assert syntax == IMPLICIT
    came, original = as_file(syntax, data), pydicom.dcmread(file.path)
    check_same_but_pixels(came, original)
    assert came.get("PixelData") == original.get("PixelData")


def test_a_peer_that_takes_only_explicit_vr_gets_every_element_in_it(site: Site, tmp_path: Path) -> None:
    file = stored(site, tmp_path, "rtplan.dcm")
    syntax, data = fetched(site, file, [EXPLICIT])
    assert syntax == EXPLICIT
    assert as_file(syntax, data) == pydicom.dcmread(file.path)


@pytest.mark.parametrize("wanted", [EXPLICIT, IMPLICIT])
def test_a_deflated_object_is_inflated_for_a_peer_that_cannot(site: Site, tmp_path: Path, wanted: str) -> None:
    file = stored(site, tmp_path, "image_dfl.dcm")
    syntax, data = fetched(site, file, [wanted])
    assert syntax == wanted
    came, original = as_file(syntax, data), pydicom.dcmread(file.path)
    check_same_but_pixels(came, original)
    assert came.PixelData == original.PixelData


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_compressed_object_is_decompressed_to_the_pixels_that_pydicom_decodes(
    site: Site, tmp_path: Path, name: str
) -> None:
    file = stored(site, tmp_path, name)
    syntax, data = fetched(site, file, [IMPLICIT])
    assert syntax == IMPLICIT
    came, original = as_file(syntax, data), pydicom.dcmread(file.path)
    check_same_but_pixels(came, original)
    assert came.SOPInstanceUID == original.SOPInstanceUID
    assert (came.pixel_array == original.pixel_array).all()


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "SC_rgb_jpeg_dcmtk.dcm", "CT_small.dcm", "ExplVR_BigEnd.dcm"])
def test_a_peer_that_takes_the_stored_syntax_too_gets_the_bytes_untouched(
    site: Site, tmp_path: Path, name: str
) -> None:
    file = stored(site, tmp_path, name)
    assert fetched(site, file, [IMPLICIT, EXPLICIT, file.transfer_syntax_uid]) == content(file.path)


def test_a_destination_that_takes_only_implicit_vr_gets_it_by_c_move(site: Site, tmp_path: Path) -> None:
    file = stored(site, tmp_path, "MR_small_RLE.dcm")
    final, receiver = moved(site, file, [IMPLICIT])
    assert final.Status == 0x0000
    syntax, data = receiver.data[file.sop_instance_uid]
    assert syntax == IMPLICIT
    assert (as_file(syntax, data).pixel_array == pydicom.dcmread(file.path).pixel_array).all()


def test_a_destination_that_takes_the_stored_syntax_too_gets_the_bytes_untouched(site: Site, tmp_path: Path) -> None:
    file = stored(site, tmp_path, "SC_rgb_jpeg_dcmtk.dcm")
    final, receiver = moved(site, file, [IMPLICIT, EXPLICIT, JPEG_BASELINE])
    assert final.Status == 0x0000
    assert receiver.data[file.sop_instance_uid] == content(file.path)


def test_a_destination_that_takes_nothing_we_can_make_is_counted_as_failed(site: Site, tmp_path: Path) -> None:
    file = stored(site, tmp_path, "MR_small_RLE.dcm")
    final, _ = moved(site, file, [JPEG_BASELINE])
    assert (final.Status, final.NumberOfFailedSuboperations) == (0xA702, 1)


def test_an_object_that_cannot_be_decoded_fails_alone_and_goes_untouched_to_who_takes_it(
    site: Site, tmp_path: Path
) -> None:
    good = sample(tmp_path, "MR_small_RLE.dcm")
    header = pydicom.dcmread(good.path)
    bad = sample(tmp_path, "MR_small_RLE.dcm", StudyInstanceUID=header.StudyInstanceUID,
                 PixelData=pydicom.encaps.encapsulate([b"\x07" * 200]))  # fmt: skip
    asking.store(site.modality, [good, bad])
    for file in (good, bad):
        asking.wait_found(site.modality, file)
    final, receiver = moved(site, good, [IMPLICIT])
    assert (final.Status, final.NumberOfCompletedSuboperations, final.NumberOfFailedSuboperations) == (0xB000, 1, 1)
    assert set(receiver.data) == {good.sop_instance_uid}
    final, receiver = moved(site, good, [IMPLICIT, bad.transfer_syntax_uid])
    assert final.Status == 0x0000
    assert receiver.data[bad.sop_instance_uid] == content(bad.path)
