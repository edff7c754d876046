"""pynetdicom's service class users and providers as peers of a running archive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AllStoragePresentationContexts, _config

from gantry.cli.commit import action_information
from gantry.cli.files import DicomFile
from gantry.cli.identifiers import identifier
from gantry.common.dicom.standard.sop_classes import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    STORAGE_COMMITMENT,
    STORAGE_COMMITMENT_INSTANCE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
)
from tests.e2e.conftest import Site
from tests.support import waiting as asking
from tests.support.dcmtk import content
from tests.support.objects import CT, sample, study
from tests.support.pynetdicom_peers import Kept, Scp, associated

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BOTH = (EXPLICIT, IMPLICIT)
PATIENT_STUDY_ONLY = "1.2.840.10008.5.1.4.1.2.3."
MANY_KINDS = (
    "CT_small.dcm",
    "rtplan.dcm",
    "ExplVR_BigEnd.dcm",
    "image_dfl.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "693_J2KI.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "JPGExtended.dcm",
    "examples_ybr_color.dcm",
)


@pytest.fixture(scope="module")
def files(site: Site, tmp_path_factory: pytest.TempPathFactory) -> list[DicomFile]:
    """A study of two series and six instances."""
    files = study(tmp_path_factory.mktemp("files"), 6, series=2, size=16, patient="PYNET1", name="Net^Py")
    asking.store(site.modality, files)
    asking.wait_searchable(site.modality, header(files[0]).StudyInstanceUID, 6)
    return files


@pytest.fixture
def _as_it_is_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pynetdicom send a file's data set without decoding it."""
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)


def header(file: DicomFile) -> Any:
    return pydicom.dcmread(file.path, stop_before_pixels=True)


def responses(answers: Any) -> list[tuple[Any, Any]]:
    return list(answers)


# ---- C-ECHO, C-STORE


def test_c_echo_is_answered(site: Site) -> None:
    with associated(site.modality, [(VERIFICATION, BOTH)]) as association:
        assert association.send_c_echo().Status == 0x0000


@pytest.mark.usefixtures("_as_it_is_in_the_file")
def test_every_kind_of_object_goes_in_and_comes_back_by_c_get_byte_for_byte(site: Site, tmp_path: Path) -> None:
    sent = [sample(tmp_path, name, PatientID="PYNET-KINDS") for name in MANY_KINDS]
    with associated(site.modality, [(f.sop_class_uid, [f.transfer_syntax_uid]) for f in sent]) as association:
        for file in sent:
            assert association.send_c_store(file.path).Status == 0x0000
    for file in sent:
        asking.wait_found(site.modality, file)
    receiver = Kept()
    contexts = list({(f.sop_class_uid, (f.transfer_syntax_uid,)) for f in sent})
    classes = sorted({f.sop_class_uid for f in sent})
    with associated(site.modality, [*contexts, (PATIENT_ROOT_GET, BOTH)], kept=receiver, as_scp=classes) as association:
        query = identifier("PATIENT", ["PatientID=PYNET-KINDS"])
        *_, (final, _) = responses(association.send_c_get(query, PATIENT_ROOT_GET))
    assert (final.Status, final.NumberOfCompletedSuboperations) == (0x0000, len(sent))
    assert receiver.data == {f.sop_instance_uid: content(f.path) for f in sent}


@pytest.mark.usefixtures("_as_it_is_in_the_file")
def test_an_association_of_128_contexts_with_role_selection_for_each_stores(site: Site, tmp_path: Path) -> None:
    (file,) = study(tmp_path, 1, patient="PYNET-128")
    others = [str(cx.abstract_syntax) for cx in AllStoragePresentationContexts if cx.abstract_syntax != CT][:127]
    contexts = [(uid, BOTH) for uid in [CT, *others]]
    with associated(site.modality, contexts, as_scp=[CT, *others]) as association:
        assert len(association.accepted_contexts) == 128
        assert all(cx.as_scp for cx in association.accepted_contexts)
        # Role selection that offers only the SCP role gives up the other one (PS3.7 D.3.3.4).
        assert not any(cx.as_scu for cx in association.accepted_contexts)
    with associated(site.modality, contexts) as association:
        assert association.send_c_store(file.path).Status == 0x0000


@pytest.mark.usefixtures("_as_it_is_in_the_file")
def test_the_same_uid_with_other_bytes_is_acknowledged_and_the_first_stays(site: Site, tmp_path: Path) -> None:
    (first,) = study(tmp_path, 1, size=16, patient="PYNET-CONFLICT")
    changed = pydicom.dcmread(first.path)
    changed.StudyDescription = "another"
    changed.save_as(tmp_path / "changed.dcm")
    with associated(site.modality, [(CT, [EXPLICIT])]) as association:
        assert association.send_c_store(first.path).Status == 0x0000
        assert association.send_c_store(tmp_path / "changed.dcm").Status == 0x0000
    asking.wait_found(site.modality, first)
    receiver = Kept()
    with associated(
        site.modality, [(CT, [EXPLICIT]), (STUDY_ROOT_GET, BOTH)], kept=receiver, as_scp=[CT]
    ) as association:
        query = identifier("STUDY", [f"StudyInstanceUID={changed.StudyInstanceUID}"])
        responses(association.send_c_get(query, STUDY_ROOT_GET))
    assert receiver.data == {first.sop_instance_uid: content(first.path)}


# ---- C-FIND


@pytest.mark.parametrize(
    ("model", "level", "count"),
    [
        (PATIENT_ROOT_FIND, "PATIENT", 1),
        (PATIENT_ROOT_FIND, "STUDY", 1),
        (PATIENT_ROOT_FIND, "SERIES", 2),
        (PATIENT_ROOT_FIND, "IMAGE", 3),
        (STUDY_ROOT_FIND, "STUDY", 1),
        (STUDY_ROOT_FIND, "SERIES", 2),
        (STUDY_ROOT_FIND, "IMAGE", 3),
        (PATIENT_STUDY_ONLY + "1", "PATIENT", 1),
        (PATIENT_STUDY_ONLY + "1", "STUDY", 1),
    ],
)
def test_c_find_answers_at_every_level_of_every_model(
    site: Site, files: list[DicomFile], model: str, level: str, count: int
) -> None:
    ds = header(files[0])
    keys = ["PatientID=PYNET1", "PatientName"]
    if level != "PATIENT":
        keys.append(f"StudyInstanceUID={ds.StudyInstanceUID}")
    if level == "IMAGE":
        keys += [f"SeriesInstanceUID={ds.SeriesInstanceUID}", "SOPInstanceUID"]
    with associated(site.modality, [(model, BOTH)]) as association:
        *pending, (final, _) = responses(association.send_c_find(identifier(level, keys), model))
    assert final.Status == 0x0000
    assert [status.Status for status, _ in pending] == [0xFF00] * count
    assert {str(answer.PatientName) for _, answer in pending} == {"Net^Py"}


def test_a_key_that_is_not_supported_makes_the_pending_status_ff01(site: Site, files: list[DicomFile]) -> None:
    query = identifier("STUDY", [f"StudyInstanceUID={header(files[0]).StudyInstanceUID}", "PregnancyStatus"])
    with associated(site.modality, [(STUDY_ROOT_FIND, BOTH)]) as association:
        (status, answer), (final, _) = responses(association.send_c_find(query, STUDY_ROOT_FIND))
    assert (status.Status, final.Status) == (0xFF01, 0x0000)
    assert "PregnancyStatus" not in answer


def test_a_level_that_the_model_has_not_is_refused_with_the_offending_element(site: Site) -> None:
    with associated(site.modality, [(STUDY_ROOT_FIND, BOTH)]) as association:
        ((status, _),) = responses(association.send_c_find(identifier("PATIENT", ["PatientID=1"]), STUDY_ROOT_FIND))
    assert status.Status == 0xA900
    assert status.OffendingElement == 0x00080052
    assert status.ErrorComment


# ---- C-GET


def test_c_get_tells_what_was_done_and_what_remains(site: Site, files: list[DicomFile]) -> None:
    receiver = Kept()
    contexts = [(CT, [EXPLICIT]), (STUDY_ROOT_GET, BOTH)]
    query = identifier("STUDY", [f"StudyInstanceUID={header(files[0]).StudyInstanceUID}"])
    with associated(site.modality, contexts, kept=receiver, as_scp=[CT]) as association:
        *pending, (final, _) = responses(association.send_c_get(query, STUDY_ROOT_GET))
    assert pending
    assert all(counts(status) in [(6 - n, n, 0, 0) for n in range(1, 6)] for status, _ in pending)
    assert (final.Status, *counts(final)) == (0x0000, None, 6, 0, 0)
    assert receiver.data == {f.sop_instance_uid: content(f.path) for f in files}


def test_a_patient_is_given_back_in_the_study_root_model_as_orthanc_asks_for_it(
    site: Site, files: list[DicomFile]
) -> None:
    receiver = Kept()
    with associated(
        site.modality, [(CT, [EXPLICIT]), (STUDY_ROOT_GET, BOTH)], kept=receiver, as_scp=[CT]
    ) as association:
        query = identifier("PATIENT", ["PatientID=PYNET1"])
        *_, (final, _) = responses(association.send_c_get(query, STUDY_ROOT_GET))
    assert final.Status == 0x0000
    assert set(receiver.data) == {f.sop_instance_uid for f in files}


def test_c_get_of_what_is_not_there_succeeds_with_nothing(site: Site) -> None:
    with associated(site.modality, [(CT, [EXPLICIT]), (STUDY_ROOT_GET, BOTH)], as_scp=[CT]) as association:
        query = identifier("STUDY", [f"StudyInstanceUID={generate_uid()}"])
        ((final, _),) = responses(association.send_c_get(query, STUDY_ROOT_GET))
    assert (final.Status, final.NumberOfCompletedSuboperations) == (0x0000, 0)


def test_c_get_without_the_scp_role_fails_every_sub_operation(site: Site, files: list[DicomFile]) -> None:
    query = identifier("STUDY", [f"StudyInstanceUID={header(files[0]).StudyInstanceUID}"])
    with associated(site.modality, [(CT, [EXPLICIT]), (STUDY_ROOT_GET, BOTH)]) as association:
        *_, (final, failed) = responses(association.send_c_get(query, STUDY_ROOT_GET))
    assert (final.Status, final.NumberOfFailedSuboperations) == (0xA702, 6)
    assert set(failed.FailedSOPInstanceUIDList) == {f.sop_instance_uid for f in files}


# ---- C-MOVE


def counts(status: Any) -> tuple[int | None, int, int, int]:
    return (
        status.get("NumberOfRemainingSuboperations"),
        status.NumberOfCompletedSuboperations,
        status.NumberOfFailedSuboperations,
        status.NumberOfWarningSuboperations,
    )


def moved(site: Site, file: DicomFile, destination: str = "DEST") -> list[tuple[Any, Dataset | None]]:
    query = identifier("STUDY", [f"StudyInstanceUID={header(file).StudyInstanceUID}"])
    with associated(site.modality, [(STUDY_ROOT_MOVE, BOTH)]) as association:
        return responses(association.send_c_move(query, destination, STUDY_ROOT_MOVE, msg_id=77))


def test_c_move_names_its_originator_and_counts_exactly(site: Site, files: list[DicomFile]) -> None:
    with Scp("DEST", site.ports["DEST"]) as scp:
        *pending, (final, failed) = moved(site, files[0])
    assert all(counts(status) in [(6 - n, n, 0, 0) for n in range(1, 6)] for status, _ in pending)
    assert (final.Status, *counts(final)) == (0x0000, None, 6, 0, 0)
    assert not failed
    assert scp.kept.originators == [("MODALITY", 77)] * 6
    assert scp.kept.data == {f.sop_instance_uid: content(f.path) for f in files}


def test_c_move_tells_which_objects_the_destination_refused(site: Site, files: list[DicomFile]) -> None:
    refused = {files[1].sop_instance_uid: 0xC123, files[4].sop_instance_uid: 0xA900}
    with Scp("DEST", site.ports["DEST"], kept=Kept(lambda uid: refused.get(uid, 0))) as scp:
        *_, (final, failed) = moved(site, files[0])
    assert (final.Status, *counts(final)) == (0xB000, None, 4, 2, 0)
    assert failed is not None
    assert set(failed.FailedSOPInstanceUIDList) == set(refused)
    assert scp.kept.asked == 6


def test_c_move_counts_warnings_as_warnings(site: Site, files: list[DicomFile]) -> None:
    with Scp("DEST", site.ports["DEST"], kept=Kept(lambda uid: 0xB007 * (uid == files[0].sop_instance_uid))):
        *_, (final, _) = moved(site, files[0])
    assert (final.Status, *counts(final)) == (0xB000, None, 5, 0, 1)


def test_c_move_tries_again_where_the_destination_is_out_of_resources(site: Site, files: list[DicomFile]) -> None:
    seen: set[str] = set()

    def answer(uid: str) -> int:
        full = uid == files[2].sop_instance_uid and uid not in seen
        seen.add(uid)
        return 0xA700 if full else 0x0000

    with Scp("DEST", site.ports["DEST"], kept=Kept(answer)) as scp:
        *_, (final, _) = moved(site, files[0])
    assert (final.Status, *counts(final)) == (0x0000, None, 6, 0, 0)
    assert scp.kept.asked == 7


def test_c_move_to_a_destination_that_is_down_fails_for_all(site: Site, files: list[DicomFile]) -> None:
    *_, (final, failed) = moved(site, files[0], "OTHER_DEST")
    assert (final.Status, *counts(final)) == (0xA702, None, 0, 6, 0)
    assert failed is not None
    assert set(failed.FailedSOPInstanceUIDList) == {f.sop_instance_uid for f in files}


def test_c_move_to_a_destination_that_does_not_take_the_class_fails_for_it(site: Site, files: list[DicomFile]) -> None:
    with Scp("DEST", site.ports["DEST"], classes=["1.2.840.10008.5.1.4.1.1.4"]):
        *_, (final, _) = moved(site, files[0])
    assert (final.Status, *counts(final)) == (0xA702, None, 0, 6, 0)


def test_c_move_to_nobody_is_refused(site: Site, files: list[DicomFile]) -> None:
    ((final, _),) = moved(site, files[0], "NOBODY")
    assert final.Status == 0xA801


# ---- Storage commitment


def request(association: Any, files: list[DicomFile], transaction: str, *more: tuple[str, str]) -> int:
    references = [*((f.sop_class_uid, f.sop_instance_uid) for f in files), *more]
    status, _ = association.send_n_action(
        action_information(transaction, references), 1, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
    )
    return int(status.Status)


def test_commitment_is_reported_on_the_association_that_stays_open(site: Site, files: list[DicomFile]) -> None:
    receiver, transaction = Kept(), generate_uid()
    with associated(site.modality, [(STORAGE_COMMITMENT, BOTH)], kept=receiver) as association:
        assert request(association, files, transaction) == 0x0000
        kind, report = receiver.report(transaction)
    assert kind == 1
    assert {i.ReferencedSOPInstanceUID for i in report.ReferencedSOPSequence} == {f.sop_instance_uid for f in files}
    assert "FailedSOPSequence" not in report


def test_commitment_is_reported_on_a_new_association_when_the_requester_has_released(
    site: Site, files: list[DicomFile]
) -> None:
    transaction = generate_uid()
    with Scp("MODALITY", site.ports["MODALITY"]) as scp:
        with associated(site.modality, [(STORAGE_COMMITMENT, BOTH)]) as association:
            assert request(association, files, transaction) == 0x0000
        kind, report = scp.kept.report(transaction)
    assert kind == 1
    assert len(report.ReferencedSOPSequence) == len(files)


def test_commitment_waits_for_a_requester_that_is_away(site: Site, files: list[DicomFile]) -> None:
    transaction = generate_uid()
    with associated(site.modality, [(STORAGE_COMMITMENT, BOTH)]) as association:
        assert request(association, files, transaction) == 0x0000
    with Scp("MODALITY", site.ports["MODALITY"]) as scp:
        kind, _ = scp.kept.report(transaction)
    assert kind == 1


def test_commitment_tells_which_object_is_not_there(site: Site, files: list[DicomFile]) -> None:
    receiver, transaction, missing = Kept(), generate_uid(), generate_uid()
    with associated(site.modality, [(STORAGE_COMMITMENT, BOTH)], kept=receiver) as association:
        assert request(association, files[:1], transaction, (CT, missing)) == 0x0000
        kind, report = receiver.report(transaction)
    assert kind == 2
    assert [i.ReferencedSOPInstanceUID for i in report.ReferencedSOPSequence] == [files[0].sop_instance_uid]
    assert [(i.ReferencedSOPInstanceUID, i.FailureReason) for i in report.FailedSOPSequence] == [(missing, 0x0112)]


def test_a_transaction_uid_that_was_used_is_refused(site: Site, files: list[DicomFile]) -> None:
    receiver, transaction = Kept(), generate_uid()
    with associated(site.modality, [(STORAGE_COMMITMENT, BOTH)], kept=receiver) as association:
        assert request(association, files, transaction) == 0x0000
        assert request(association, files, transaction) == 0x0131
        receiver.report(transaction)


def test_a_peer_without_permission_gets_no_commitment_context(site: Site) -> None:
    viewer = asking.calling(site.archive.peer, "VIEWER")
    with associated(viewer, [(STORAGE_COMMITMENT, BOTH), (VERIFICATION, BOTH)]) as association:
        assert [cx.abstract_syntax for cx in association.accepted_contexts] == [VERIFICATION]
