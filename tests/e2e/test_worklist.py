"""The modality worklist as modalities ask for it: findscu and pynetdicom, with wlmscpfs and Orthanc as oracles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import ModalityWorklistInformationFind

from tests.support.archive import RunningArchive
from tests.support.dcmtk import find
from tests.support.worklist import OrdersClient, OrthancWorklist, WlmScp, ordered, plain, scheduled

PEERS = [
    "{ae_title: CT1, from: [127.0.0.1], may: [worklist]}",
    "{ae_title: CT2, from: [127.0.0.1], may: [worklist], worklist_own: true}",
    "{ae_title: BOARD, from: [127.0.0.1], may: [worklist], worklist_hides: []}",
    "{ae_title: VIEWER, from: [127.0.0.1], may: [find]}",
]
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"
WARD = [
    ordered(1, PatientName="Müller^Eva", PatientSex="F"),
    ordered(2, scheduled(Modality="MR", ScheduledStationAETitle="MR1"), PatientName="Muller^Eva"),
    ordered(3, scheduled(ScheduledProcedureStepStartDate="20260106"), PatientName="O'Neill^Jack"),
    ordered(4, scheduled(ScheduledProcedureStepStartTime="140000"), PatientName="Mueller^Eva"),
    ordered(5, scheduled(ScheduledProcedureStepStartDate="20260107", ScheduledProcedureStepStartTime="080000")),
    ordered(6, scheduled(ScheduledStationAETitle="CT2", ScheduledPerformingPhysicianName="Wilson^James")),
    ordered(7, PatientName=JAPANESE),
    ordered(8, scheduled(Modality="US", ScheduledStationAETitle="US1"), AccessionNumber="B8", PatientID="Q8"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningArchive]:
    running = RunningArchive(tmp_path_factory.mktemp("worklist"), lab=False)
    running.write_policy(PEERS, "http: {may_order: [loopback]}\norders: {idle_days: 0}\n")
    running.start()
    OrdersClient(running).place(*WARD)
    yield running
    assert running.alive, running.log.read_text()
    running.stop()


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancWorklist]:
    with OrthancWorklist(tmp_path_factory.mktemp("orthanc"), WARD) as running:
        yield running


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WlmScp]:
    with WlmScp(tmp_path_factory.mktemp("wlm"), WARD) as running:
        yield running


def address(port: int, title: str = "CT1") -> tuple[object, ...]:
    return "-aet", title, "-aec", "GANTRY", "127.0.0.1", port


RETURNED = (
    *("AccessionNumber", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID"),
    *("RequestedProcedureID", "RequestedProcedureDescription", "ReferringPhysicianName"),
    *(
        f"ScheduledProcedureStepSequence[0].{keyword}"
        for keyword in (
            *("ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"),
            *("Modality", "ScheduledPerformingPhysicianName", "ScheduledProcedureStepDescription"),
            *("ScheduledProcedureStepID", "ScheduledProcedureStepLocation"),
        )
    ),
)
STEP = "ScheduledProcedureStepSequence[0]"


def keys(*terms: str) -> list[str]:
    """Arguments of findscu: what is asked for, and everything that is to be returned."""
    named = {term.partition("=")[0] for term in terms}
    every = ["SpecificCharacterSet=ISO_IR 192", *terms, *(term for term in RETURNED if term not in named)]
    return [part for key in every for part in ("-k", key)]


ASKED = [
    (),
    ("PatientName=Mue*",),
    ("PatientName=*Eva",),
    ("PatientName=O'Neill^Jack",),
    ("PatientName=Yamada*",),
    ("PatientID=P3",),
    ("PatientID=Nobody",),
    ("AccessionNumber=B8",),
    ("RequestedProcedureID=R4",),
    (f"{STEP}.Modality=CT",),
    (f"{STEP}.Modality=MR", "PatientName=M*"),
    (f"{STEP}.ScheduledStationAETitle=CT1",),
    (f"{STEP}.ScheduledStationAETitle=CT1", f"{STEP}.ScheduledProcedureStepStartDate=20260105"),
    (f"{STEP}.ScheduledProcedureStepStartDate=20260105-20260106",),
    (f"{STEP}.ScheduledProcedureStepStartDate=20260106-",),
    (f"{STEP}.ScheduledProcedureStepStartDate=-20260105",),
    (f"{STEP}.ScheduledProcedureStepStartDate=20260105", f"{STEP}.ScheduledProcedureStepStartTime=1200-1800"),
    (f"{STEP}.ScheduledProcedureStepStartTime=-1000",),
    (f"{STEP}.ScheduledPerformingPhysicianName=Wil*",),
]


@pytest.mark.parametrize("terms", ASKED, ids=["+".join(terms) or "everything" for terms in ASKED])
@pytest.mark.parametrize("syntax", ["-xe", "-xi"])
def test_answers_are_those_of_wlmscpfs(
    archive: RunningArchive, oracle: WlmScp, tmp_path: Path, terms: tuple[str, ...], syntax: str
) -> None:
    ours = find(address(archive.port), tmp_path / "ours", "-W", syntax, *keys(*terms))
    theirs = find(address(oracle.port), tmp_path / "theirs", "-W", syntax, *keys(*terms))
    assert plain(ours) == plain(theirs)


@pytest.mark.parametrize("terms", ASKED, ids=["+".join(terms) or "everything" for terms in ASKED])
def test_answers_are_those_of_orthanc(
    archive: RunningArchive, orthanc: OrthancWorklist, tmp_path: Path, terms: tuple[str, ...]
) -> None:
    ours = find(address(archive.port), tmp_path / "ours", "-W", *keys(*terms))
    theirs = find(
        ("-aet", "CT1", "-aec", "ORTHANC", "127.0.0.1", orthanc.port), tmp_path / "theirs", "-W", *keys(*terms)
    )
    assert plain(ours) == plain(theirs)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("PatientName=muller*", ["A1", "A2"]),  # case and accents do not count (C.2.2.2.1)
        ("PatientID=P?", ["A1", "A2", "A3", "A4", "A5", "A6", "A7"]),
        ("StudyInstanceUID=1.2.840.99.5", ["A5"]),
    ],
)
def test_more_is_matched_than_wlmscpfs_matches(
    archive: RunningArchive, tmp_path: Path, key: str, found: list[str]
) -> None:
    answers = find(address(archive.port), tmp_path / "ours", "-W", *keys(key))
    assert sorted(answer.AccessionNumber for answer in answers) == found


def test_a_range_of_dates_and_times_is_one_range_of_moments(archive: RunningArchive, tmp_path: Path) -> None:
    """From noon of the 5th to nine o'clock of the 7th (PS3.4 K.6.1.2.1); wlmscpfs takes the two for two ranges."""
    terms = f"{STEP}.ScheduledProcedureStepStartDate=20260105-20260107", f"{STEP}.ScheduledProcedureStepStartTime=12-09"
    answers = find(address(archive.port), tmp_path / "ours", "-W", *keys(*terms))
    assert sorted(answer.AccessionNumber for answer in answers) == ["A3", "A4", "A5"]


def ask(archive: RunningArchive, title: str, identifier: Dataset, *syntaxes: str, cancel: int = 0) -> Any:
    """Statuses and identifiers of the responses; with `cancel`, a C-CANCEL after so many of them."""
    ae = AE(ae_title=title)
    ae.add_requested_context(ModalityWorklistInformationFind, list(syntaxes) or [ExplicitVRLittleEndian])
    association = ae.associate("127.0.0.1", archive.port, ae_title="GANTRY")
    if not association.is_established:
        return None  # pynetdicom aborts where none of its contexts is accepted
    answers = []
    for status, answer in association.send_c_find(identifier, ModalityWorklistInformationFind):
        answers.append((status.Status, answer))
        if cancel and len(answers) == cancel:
            association.send_c_cancel(1, query_model=ModalityWorklistInformationFind)
    association.release()
    return answers


def identifier(**values: Any) -> Dataset:
    query = Dataset()
    query.PatientName = ""
    query.AccessionNumber = ""
    step = Dataset()
    step.ScheduledProcedureStepID = ""
    step.ScheduledProcedureStepStatus = ""
    query.ScheduledProcedureStepSequence = Items([step])
    query.update(values)
    return query


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
@pytest.mark.parametrize(
    ("character_set", "answered"), [("ISO_IR 100", "ISO_IR 100"), ("ISO_IR 101", "ISO_IR 101"), (None, "ISO_IR 192")]
)
def test_answers_are_in_the_character_set_of_the_caller(
    archive: RunningArchive, syntax: str, character_set: str | None, answered: str
) -> None:
    query = identifier(AccessionNumber="A1")
    if character_set is not None:
        query.SpecificCharacterSet = character_set
    (status, answer), final = ask(archive, "CT1", query, syntax)
    assert (status, final[0]) == (0xFF00, 0x0000)
    assert answer.SpecificCharacterSet == answered
    assert str(answer.PatientName) == "Müller^Eva"


def test_a_name_in_three_scripts_is_asked_for_in_one_of_them(archive: RunningArchive) -> None:
    query = identifier(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="=山田*")
    (_, answer), _ = ask(archive, "CT1", query)
    assert str(answer.PatientName) == JAPANESE
    assert list(answer.SpecificCharacterSet) == ["", "ISO 2022 IR 87"]


def test_a_key_that_nobody_knows_is_left_out_and_told(archive: RunningArchive) -> None:
    query = identifier(AccessionNumber="A1")
    query.add_new(0x00091001, "LO", "")
    (status, answer), final = ask(archive, "CT1", query)
    assert (status, final[0]) == (0xFF01, 0x0000)
    assert 0x00091001 not in answer
    assert archive.metric('gantry_worklist_requests_total{status="0000"}') > 0
    assert archive.metric("gantry_worklist_responses_total") > 0
    assert archive.metric("gantry_worklist_seconds_count") > 0


def test_a_whole_sequence_is_returned_where_no_key_of_it_is_named(archive: RunningArchive) -> None:
    query = identifier(AccessionNumber="A1", ScheduledProcedureStepSequence=Items([]))
    (_, answer), _ = ask(archive, "CT1", query)
    (step,) = answer.ScheduledProcedureStepSequence
    assert (step.Modality, step.ScheduledProcedureStepStatus) == ("CT", "SCHEDULED")


def test_what_is_no_date_is_refused(archive: RunningArchive) -> None:
    step = Dataset()
    step.add_new(0x00400002, "DA", "tomorrow")
    assert ask(archive, "CT1", identifier(ScheduledProcedureStepSequence=Items([step])))[-1][0] == 0xC000


def test_a_peer_without_the_permission_gets_no_worklist(archive: RunningArchive) -> None:
    assert ask(archive, "VIEWER", identifier()) is None


def test_each_peer_sees_its_own_view(archive: RunningArchive) -> None:
    orders = OrdersClient(archive)
    orders.place(ordered(20, scheduled("X1"), scheduled("X2", ScheduledStationAETitle="CT2")))
    assert orders.ask("DELETE", "/A20?reason=too+late&step=X1")[0] == 200

    def seen(title: str) -> set[str]:
        answers = ask(archive, title, identifier(AccessionNumber="A20"))
        return {answer.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID for _, answer in answers[:-1]}

    assert seen("CT1") == {"X2"}  # what is cancelled is hidden
    assert seen("BOARD") == {"X1", "X2"}
    answers = ask(archive, "CT2", identifier())
    assert {answer.AccessionNumber for _, answer in answers[:-1]} == {"A6", "A20"}


def test_a_request_is_cancelled_between_answers(archive: RunningArchive) -> None:
    OrdersClient(archive).place(*(ordered(n, *(scheduled(f"S{i}") for i in range(40))) for n in range(100, 120)))
    answers = ask(archive, "CT1", identifier(PatientName="Patient^No1??"), cancel=1)
    assert answers[-1][0] in (0xFE00, 0x0000)
    assert len(answers) <= 801
