"""DCMTK's programs against a running archive.

DCMTK writes a data set anew when it sends a file (lengths of groups and sequences), so what it sent is what another of
its own programs received: `storescp +B` gets everything as well, and is the witness that the archive's bytes are
compared with, bit for bit.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from gantry.cli.files import DicomFile
from tests.e2e.conftest import Site
from tests.support import waiting as asking
from tests.support.dcmtk import StoreScp, content, find, ok, received, run, tool
from tests.support.objects import data_set, sample, study, write

SENT = (
    ("-xe", "CT_small.dcm"),
    ("-xe", "waveform_ecg.dcm"),
    ("-xe", "test-SR.dcm"),
    ("-xi", "rtplan.dcm"),
    ("-xb", "ExplVR_BigEnd.dcm"),
    ("-xd", "image_dfl.dcm"),
    ("-xs", "SC_rgb_jpeg_gdcm.dcm"),
    ("-xy", "SC_rgb_jpeg_dcmtk.dcm"),
    ("-xx", "JPGExtended.dcm"),
    ("-xv", "GDCMJ2K_TextGBR.dcm"),
    ("-xw", "693_J2KI.dcm"),
    ("-xt", "MR_small_jpeg_ls_lossless.dcm"),
    ("-xu", "SC_rgb_jls_lossy_line.dcm"),
    ("-xr", "MR_small_RLE.dcm"),
)


@pytest.fixture(scope="module")
def destination(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreScp]:
    with StoreScp(tmp_path_factory.mktemp("dest"), "DEST", port=site.ports["DEST"]) as scp:
        yield scp


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreScp]:
    with StoreScp(tmp_path_factory.mktemp("witness"), "WITNESS") as scp:
        yield scp


@pytest.fixture(scope="module")
def searched(site: Site, tmp_path_factory: pytest.TempPathFactory) -> list[DicomFile]:
    """A study of one patient: two series, five instances."""
    folder = tmp_path_factory.mktemp("searched")
    files = study(folder, 5, series=2, patient="DCMTK1", name="Searched^Sam", AccessionNumber="DCMTK-ACC-1")
    asking.store(site.modality, files)
    asking.wait_searchable(site.modality, study_of(files[0]), 5)
    return files


def study_of(file: DicomFile) -> str:
    return str(pydicom.dcmread(file.path, stop_before_pixels=True).StudyInstanceUID)


def series_of(file: DicomFile) -> str:
    return str(pydicom.dcmread(file.path, stop_before_pixels=True).SeriesInstanceUID)


# ---- C-ECHO


def test_echoscu_is_answered(site: Site) -> None:
    assert "Received Echo Response (Success)" in ok("echoscu", "-v", *site.address)


def test_echoscu_is_rejected_under_an_unknown_ae_title(site: Site) -> None:
    done = run("echoscu", "-aet", "STRANGER", "-aec", "GANTRY", "127.0.0.1", site.archive.port)
    assert done.returncode != 0
    assert "Calling AE Title Not Recognized" in done.stdout


def test_echoscu_is_rejected_when_it_calls_another_title(site: Site) -> None:
    done = run("echoscu", "-aet", "MODALITY", "-aec", "ANOTHER", "127.0.0.1", site.archive.port)
    assert done.returncode != 0
    assert "Called AE Title Not Recognized" in done.stdout


def test_echoscu_proposing_every_transfer_syntax_and_many_contexts_is_answered(site: Site) -> None:
    ok("echoscu", "-pts", 38, "-ppc", 128, *site.address)


# ---- C-STORE, and back by C-MOVE


@pytest.mark.parametrize(("option", "name"), SENT)
def test_what_storescu_sends_comes_back_by_c_move_bit_for_bit(
    site: Site, destination: StoreScp, witness: StoreScp, tmp_path: Path, option: str, name: str
) -> None:
    file = sample(tmp_path, name)
    ok("storescu", "-R", option, *site.address, file.path)
    ok("storescu", "-R", option, "-aec", "WITNESS", "127.0.0.1", witness.port, file.path)
    uid, study_uid = file.sop_instance_uid, study_of(file)
    asking.wait_found(site.modality, file)
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_uid}")
    ok("movescu", "-S", "-aem", "DEST", *keys, *site.address)
    syntax, data = content(destination.received()[uid])
    assert syntax == file.transfer_syntax_uid
    assert (syntax, data) == content(witness.received()[uid])


def test_what_dcmsend_sends_without_recompression_comes_back_bit_for_bit(
    site: Site, destination: StoreScp, witness: StoreScp, tmp_path: Path
) -> None:
    files = study(tmp_path, 20, series=2, patient="DCMSEND")
    report = ok("dcmsend", "-v", "-dn", "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", site.archive.port,
                "+sd", tmp_path)  # fmt: skip
    assert "with status SUCCESS  : 20" in report
    ok("dcmsend", "-dn", "-aec", "WITNESS", "127.0.0.1", witness.port, "+sd", tmp_path)
    study_uid = study_of(files[0])
    asking.wait_searchable(site.modality, study_uid, 20)
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_uid}")
    ok("movescu", "-S", "-aem", "DEST", *keys, *site.address)
    for file in files:
        uid = file.sop_instance_uid
        assert content(destination.received()[uid]) == content(witness.received()[uid])


def test_many_storescu_at_once_each_store_everything(site: Site, tmp_path: Path) -> None:
    studies = [study(tmp_path / str(n), 25, size=16, patient=f"MANY{n}") for n in range(8)]
    program = tool("storescu")
    senders = [
        subprocess.Popen(
            [program, "-R", *map(str, site.address), "+sd", str(tmp_path / str(n))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for n in range(8)
    ]
    assert [sender.wait(60) for sender in senders] == [0] * 8
    for files in studies:
        asking.wait_searchable(site.modality, study_of(files[0]), 25)


def test_the_same_object_from_storescu_twice_is_one_instance(site: Site, tmp_path: Path) -> None:
    (file,) = study(tmp_path, 1, patient="TWICE")
    for _ in range(2):
        ok("storescu", "-R", *site.address, file.path)
    asking.wait_searchable(site.modality, study_of(file), 1)


def test_a_storescu_that_aborts_does_not_harm_the_next(site: Site, tmp_path: Path) -> None:
    (file,) = study(tmp_path, 1, patient="ABORTS")
    run("storescu", "-R", "--abort", *site.address, file.path)
    ok("storescu", "-R", *site.address, file.path)


def test_a_peer_that_may_only_search_cannot_store(site: Site, tmp_path: Path) -> None:
    (file,) = study(tmp_path, 1, patient="FORBIDDEN")
    done = run("storescu", "-R", "-aet", "VIEWER", "-aec", "GANTRY", "127.0.0.1", site.archive.port, file.path)
    assert done.returncode != 0
    assert "No Acceptable Presentation Contexts" in done.stdout


# ---- C-FIND


@pytest.mark.parametrize(
    ("model", "level", "expected"),
    [
        ("-P", "PATIENT", 1),
        ("-P", "STUDY", 1),
        ("-P", "SERIES", 2),
        ("-P", "IMAGE", 3),
        ("-S", "STUDY", 1),
        ("-S", "SERIES", 2),
        ("-S", "IMAGE", 3),
        ("-O", "PATIENT", 1),
        ("-O", "STUDY", 1),
    ],
)
def test_findscu_gets_every_entity_of_a_level(
    site: Site, searched: list[DicomFile], tmp_path: Path, model: str, level: str, expected: int
) -> None:
    keys = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}
    values = {"PATIENT": "DCMTK1", "STUDY": study_of(searched[0]), "SERIES": series_of(searched[0])}
    levels = [*keys, "IMAGE"]
    above = levels[("-S" == model) : levels.index(level)]
    arguments = [a for level in above for a in ("-k", f"{keys[level]}={values[level]}")]
    own = {**keys, "IMAGE": "SOPInstanceUID"}[level]
    if not above:
        arguments += ["-k", "PatientID=DCMTK1"]
    if own != "PatientID":
        arguments += ["-k", own]
    answers = find(
        site.address, tmp_path / "rsp", model, "-k", f"QueryRetrieveLevel={level}", "-k", "PatientName", *arguments
    )
    assert len(answers) == expected
    assert {str(answer.PatientName) for answer in answers} == {"Searched^Sam"}
    assert {answer.QueryRetrieveLevel for answer in answers} == {level}
    assert {answer.RetrieveAETitle for answer in answers} == {"GANTRY"}
    known = {
        "PatientID": {"DCMTK1"},
        "StudyInstanceUID": {study_of(f) for f in searched},
        "SeriesInstanceUID": {series_of(f) for f in searched},
        "SOPInstanceUID": {f.sop_instance_uid for f in searched if series_of(f) == values["SERIES"]},
    }
    assert {answer[own].value for answer in answers} == known[own]


@pytest.mark.parametrize(
    ("key", "is_found"),
    [
        ("PatientName=Searched^Sam", True),
        ("PatientName=searched^*", True),
        ("PatientName=*SAM", True),
        ("PatientName=Sear?hed^S*", True),
        ("PatientName=Search^Sam", False),
        ("PatientID=DCMTK1", True),
        ("PatientID=dcmtk1", False),
        ("AccessionNumber=DCMTK-ACC-?", True),
        ("AccessionNumber=DCMTK-ACC-2", False),
        ("StudyDate=20240131", True),
        ("StudyDate=20240101-20240131", True),
        ("StudyDate=20240201-", False),
        ("StudyDate=-20240131", True),
        ("StudyTime=1000-1100", True),
        ("StudyTime=110000-", False),
        ("ModalitiesInStudy=CT", True),
        ("ModalitiesInStudy=MR\\CT", True),
        ("ModalitiesInStudy=MR", False),
    ],
)
def test_findscu_matches_as_ps3_4_says(
    site: Site, searched: list[DicomFile], tmp_path: Path, key: str, is_found: bool
) -> None:
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_of(searched[0])}", "-k", key)
    assert len(find(site.address, tmp_path / "rsp", "-S", *keys)) == is_found


def test_findscu_with_a_list_of_uids_gets_those(site: Site, searched: list[DicomFile], tmp_path: Path) -> None:
    wanted = {f.sop_instance_uid for f in searched if series_of(f) == series_of(searched[0])}
    uids = "\\".join([*sorted(wanted)[:2], generate_uid()])
    keys = ("-k", "QueryRetrieveLevel=IMAGE", "-k", f"StudyInstanceUID={study_of(searched[0])}",
            "-k", f"SeriesInstanceUID={series_of(searched[0])}", "-k", f"SOPInstanceUID={uids}")  # fmt: skip
    answers = find(site.address, tmp_path / "rsp", "-S", *keys)
    assert {answer.SOPInstanceUID for answer in answers} == set(sorted(wanted)[:2])


def test_findscu_is_told_counts_modalities_and_classes(site: Site, searched: list[DicomFile], tmp_path: Path) -> None:
    keys = ("ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
            "InstanceAvailability", f"StudyInstanceUID={study_of(searched[0])}")  # fmt: skip
    arguments = [a for key in keys for a in ("-k", key)]
    (answer,) = find(site.address, tmp_path / "rsp", "-S", "-k", "QueryRetrieveLevel=STUDY", *arguments)
    assert answer.ModalitiesInStudy == "CT"
    assert answer.SOPClassesInStudy == searched[0].sop_class_uid
    assert (answer.NumberOfStudyRelatedSeries, answer.NumberOfStudyRelatedInstances) == (2, 5)
    assert answer.InstanceAvailability == "ONLINE"


def test_findscu_is_told_which_key_is_missing(site: Site, tmp_path: Path) -> None:
    done = run("findscu", "-v", "-S", "-k", "QueryRetrieveLevel=SERIES", "-k", "SeriesInstanceUID", *site.address)
    assert "DataSetDoesNotMatchSOPClass" in done.stdout


@pytest.mark.parametrize(
    ("name", "character_set", "key"),
    [
        ("Müller^Jörg", "ISO_IR 100", "muller^jorg"),
        ("Müller^Jörg", "ISO_IR 192", "MULLER*"),
        ("Müller^Jörg", "ISO_IR 100", "müller*"),
        ("Люксембург^Анна", "ISO_IR 144", "люксембург*"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "\\ISO 2022 IR 87", "yamada*"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "\\ISO 2022 IR 87", "山田*"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "\\ISO 2022 IR 149", "홍*"),
        ("Wang^XiaoDong=王^小东", "GB18030", "王^小东"),
    ],
)
def test_findscu_finds_a_name_of_any_script_and_its_answer_decodes(
    site: Site, tmp_path: Path, name: str, character_set: str, key: str
) -> None:
    ds = data_set(name=name, patient=generate_uid()[-16:])
    ds.SpecificCharacterSet = character_set.split("\\") if "\\" in character_set else character_set
    file = write(tmp_path, ds)
    ok("storescu", "-R", *site.address, file.path)
    asking.wait_searchable(site.modality, ds.StudyInstanceUID, 1)
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", "SpecificCharacterSet=ISO_IR 192", "-k", f"PatientName={key}",
            "-k", f"StudyInstanceUID={ds.StudyInstanceUID}")  # fmt: skip
    (answer,) = find(site.address, tmp_path / "rsp", "-S", *keys)
    assert str(answer.PatientName) == name


def test_findscu_is_answered_in_latin_1_when_it_asks_in_latin_1(site: Site, tmp_path: Path) -> None:
    ds = data_set(name="Groß^Änne", patient="LATIN", SpecificCharacterSet="ISO_IR 192")
    file = write(tmp_path, ds)
    asking.store(site.modality, [file])
    asking.wait_searchable(site.modality, ds.StudyInstanceUID, 1)
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", "SpecificCharacterSet=ISO_IR 100", "-k", "PatientName",
            "-k", f"StudyInstanceUID={ds.StudyInstanceUID}")  # fmt: skip
    (answer,) = find(site.address, tmp_path / "rsp", "-S", *keys)
    assert answer.SpecificCharacterSet == "ISO_IR 100"
    assert str(answer.PatientName) == "Groß^Änne"


def test_findscu_that_cancels_gets_part_of_the_answers_and_the_status_cancelled(site: Site, tmp_path: Path) -> None:
    # 20 MB of answers, which is more than sockets buffer: the cancellation comes while there are some left.
    many = 500
    files = study(tmp_path / "many", many, size=1, patient="CANCELS", ImageComments="x" * 40_000)
    asking.store(site.modality, files)
    study_uid, series_uid = study_of(files[0]), series_of(files[0])
    asking.wait_searchable(site.modality, study_uid, many)
    keys = ("-k", "QueryRetrieveLevel=IMAGE", "-k", f"StudyInstanceUID={study_uid}",
            "-k", f"SeriesInstanceUID={series_uid}", "-k", "SOPInstanceUID", "-k", "ImageComments")  # fmt: skip
    answers = tmp_path / "rsp"
    answers.mkdir()
    output = ok("findscu", "-v", "--cancel", 3, "-X", "-od", answers, "-S", *keys, *site.address)
    assert "Sending Cancel Request" in output
    assert "Cancel" in output.rpartition("Received Final Find Response")[2]
    assert 3 <= len(list(answers.iterdir())) < many


# ---- C-MOVE and C-GET


@pytest.mark.parametrize(
    ("model", "level", "expected"),
    [("-P", "PATIENT", 5), ("-S", "STUDY", 5), ("-S", "SERIES", 3), ("-S", "IMAGE", 2), ("-O", "STUDY", 5)],
)
def test_movescu_gets_what_it_names_on_its_own_port(
    site: Site, searched: list[DicomFile], tmp_path: Path, model: str, level: str, expected: int
) -> None:
    keys = selection(model, level, searched)
    # movescu writes into the current folder with +B, whatever -od says.
    ok("movescu", "+P", site.ports["OTHER_DEST"], "+xa", "+B", "-aem", "OTHER_DEST", model, *keys,
       "-aet", "OTHER_DEST", "-aec", "GANTRY", "127.0.0.1", site.archive.port, cwd=tmp_path)  # fmt: skip
    check_received(tmp_path, searched, expected)


@pytest.mark.parametrize(
    ("model", "level", "expected"),
    [("-P", "PATIENT", 5), ("-S", "STUDY", 5), ("-S", "SERIES", 3), ("-S", "IMAGE", 2), ("-O", "STUDY", 5)],
)
def test_getscu_gets_what_it_names(
    site: Site, searched: list[DicomFile], tmp_path: Path, model: str, level: str, expected: int
) -> None:
    ok("getscu", "+B", "-od", tmp_path, model, *selection(model, level, searched), *site.address)
    check_received(tmp_path, searched, expected)


@pytest.mark.parametrize(("option", "name"), [("+xt", "MR_small_jpeg_ls_lossless.dcm"), ("+xr", "SC_rgb_rle.dcm")])
def test_getscu_that_takes_the_stored_compression_gets_it_untouched(
    site: Site, tmp_path: Path, option: str, name: str
) -> None:
    file = sample(tmp_path / "sent", name)
    asking.store(site.modality, [file])
    asking.wait_found(site.modality, file)
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_of(file)}")
    came = tmp_path / "came"
    came.mkdir()
    ok("getscu", "+B", option, "-od", came, "-S", *keys, *site.address)
    syntax, _ = content(received(came)[file.sop_instance_uid])
    assert syntax == file.transfer_syntax_uid


def test_getscu_that_takes_no_compression_gets_the_object_decompressed(site: Site, tmp_path: Path) -> None:
    file = sample(tmp_path / "sent", "SC_rgb_rle.dcm")
    asking.store(site.modality, [file])
    asking.wait_found(site.modality, file)
    keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_of(file)}")
    folder = tmp_path / "came"
    folder.mkdir()
    ok("getscu", "+B", "-od", folder, "-S", *keys, *site.address)
    came = pydicom.dcmread(received(folder)[file.sop_instance_uid])
    assert not came.file_meta.TransferSyntaxUID.is_compressed
    assert (came.pixel_array == pydicom.dcmread(file.path).pixel_array).all()


def test_movescu_is_told_when_the_destination_is_not_configured(site: Site, searched: list[DicomFile]) -> None:
    done = run("movescu", "-v", "-aem", "NOBODY", "-S", *selection("-S", "STUDY", searched), *site.address)
    assert "MoveDestinationUnknown" in done.stdout or "0xa801" in done.stdout.lower()


def selection(model: str, level: str, files: list[DicomFile]) -> list[str]:
    """Keys for `level`: the patient, the study, the first series, or two instances of it."""
    keys = [f"QueryRetrieveLevel={level}"]
    if model != "-S":
        keys.append("PatientID=DCMTK1")
    if level != "PATIENT":
        keys.append(f"StudyInstanceUID={study_of(files[0])}")
    if level in ("SERIES", "IMAGE"):
        keys.append(f"SeriesInstanceUID={series_of(files[0])}")
    if level == "IMAGE":
        keys.append(f"SOPInstanceUID={files[0].sop_instance_uid}\\{files[2].sop_instance_uid}")
    return [argument for key in keys for argument in ("-k", key)]


def check_received(folder: Path, files: list[DicomFile], expected: int) -> None:
    came = received(folder)
    assert len(came) == expected
    by_uid = {file.sop_instance_uid: file for file in files}
    for uid, path in came.items():
        assert content(path) == content(by_uid[uid].path)
