"""Matching beyond the basic kinds (PS3.4 C.5.1.1, PS3.18 8.3.4), agreed on with pynetdicom and asked for by HTTP."""

from __future__ import annotations

from urllib.parse import urlencode

import pydicom
import pytest
from click.testing import CliRunner, Result
from pydicom.dataset import Dataset

from gantry.cli.files import DicomFile
from gantry.cli.identifiers import identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET
from gantry.services.__main__ import main
from tests.e2e.conftest import Site
from tests.support import waiting as asking
from tests.support.dicomweb import ask_json
from tests.support.objects import data_set, write
from tests.support.pynetdicom_peers import associated

BOTH = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
FIND, GET = STUDY_ROOT_FIND, STUDY_ROOT_GET
RELATIONAL, DATE_TIME, FUZZY, ZONE, EMPTY, MULTIPLE = (
    bytes(n == field for n in range(7)) for field in (0, 1, 2, 3, 5, 6)
)
EVERYTHING = b"\1" * 7


def request(step: str, code: str) -> Dataset:
    item, coded = Dataset(), Dataset()
    coded.CodeValue, coded.CodingSchemeDesignator, coded.CodeMeaning = code, "99TEST", "something"
    item.ScheduledProcedureStepID, item.RequestedProcedureCodeSequence = step, [coded]
    return item


@pytest.fixture(scope="module", autouse=True)
def files(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, DicomFile]:
    """Three studies with something to tell them apart by."""
    made = {
        "A": {"name": "Müller^Jörg", "AccessionNumber": "XA", "TimezoneOffsetFromUTC": "-0500", "StudyTime": "230000"},
        "B": {"name": "Mueller^Hans", "AccessionNumber": "", "TimezoneOffsetFromUTC": "+0100", "StudyTime": "010000"},
        "C": {"name": "Smith^Anne", "AccessionNumber": "XC", "StudyTime": "120000"},
    }
    folder = tmp_path_factory.mktemp("files")
    objects = {}
    for label, more in made.items():
        items = [request(f"{label}1", "C1"), request(f"{label}2", "C2")]
        ds = data_set(patient=f"EXTENDED-{label}", size=8, RequestAttributesSequence=items, StudyID=label, **more)
        objects[label] = write(folder, ds)
    # One study of two modalities.
    second = pydicom.dcmread(objects["A"].path)
    second.Modality, second.SOPInstanceUID, second.SeriesInstanceUID = "SR", "1.2.3.77", "1.2.3.78"
    objects["A2"] = write(folder, second)
    asking.store(site.modality, objects.values())
    for file in objects.values():
        asking.wait_found(site.modality, file)
    return objects


def by_c_find(site: Site, agreed: bytes, *keys: str, level: str = "STUDY") -> list[Dataset]:
    query = identifier(level, [*keys, "StudyID", "PatientID=EXTENDED*"])
    with associated(site.modality, [(FIND, BOTH)], extended={FIND: agreed} if agreed else None) as association:
        *pending, (final, _) = association.send_c_find(query, FIND)
    assert final.Status == 0x0000
    return [answer for _, answer in pending]


def labels(answers: list[Dataset]) -> list[str]:
    return sorted(str(answer.StudyID) for answer in answers)


def by_qido(site: Site, resource: str, **parameters: str) -> list[str]:
    query = urlencode({"PatientID": "EXTENDED*", "includefield": "StudyID", **parameters})
    return labels([Dataset.from_json(match) for match in ask_json(site.archive, f"/dicom-web/{resource}?{query}")])


def test_what_we_can_is_answered_and_nothing_else(site: Site) -> None:
    """PS3.4 C.5.1.1.2: there is no view of enhanced multi-frame images; of retrieval, only that it is relational."""
    offered = {FIND: EVERYTHING, GET: b"\1\1"}
    with associated(site.modality, [(FIND, BOTH), (GET, BOTH)], extended=offered) as association:
        assert association.acceptor.sop_class_extended == {FIND: b"\1\1\1\1\0\1\1", GET: b"\1\0"}
    with associated(site.modality, [(FIND, BOTH)], extended={FIND: b"\0\1\1"}) as association:
        assert association.acceptor.sop_class_extended == {FIND: b"\0\1\1"}
    with associated(site.modality, [(FIND, BOTH)]) as association:
        assert association.acceptor.sop_class_extended == {}


def test_a_search_is_relational_where_that_was_agreed_on(site: Site) -> None:
    query = identifier("SERIES", ["PatientID=EXTENDED*", "SeriesInstanceUID"])
    with associated(site.modality, [(FIND, BOTH)]) as association:
        ((refused, _),) = association.send_c_find(query, FIND)
    assert refused.Status == 0xA900
    assert labels(by_c_find(site, RELATIONAL, "SeriesInstanceUID", level="SERIES")) == ["A", "A", "B", "C"]


def test_names_are_found_as_they_sound(site: Site) -> None:
    assert labels(by_c_find(site, FUZZY, "PatientName=Muller")) == ["A", "B"]
    assert labels(by_c_find(site, FUZZY, "PatientName=joerg mueller")) == ["A"]
    assert labels(by_c_find(site, b"", "PatientName=Muller")) == []
    assert by_qido(site, "studies", PatientName="Muller", fuzzymatching="true") == ["A", "B"]
    assert by_qido(site, "studies", PatientName="Muller") == []


def test_items_of_sequences_are_matched_and_returned(site: Site) -> None:
    step, code = (
        "RequestAttributesSequence.ScheduledProcedureStepID",
        ("RequestAttributesSequence.RequestedProcedureCodeSequence.CodeValue"),
    )
    (match,) = by_c_find(site, RELATIONAL, f"{step}=B*", f"{code}=C2", level="SERIES")
    (item,) = match.RequestAttributesSequence
    assert item.ScheduledProcedureStepID == "B2"
    assert [str(e.keyword) for e in item.RequestedProcedureCodeSequence[0]] == ["CodeValue"]
    assert by_c_find(site, RELATIONAL, f"{step}=B1", f"{code}=C2", level="SERIES") == []
    assert by_qido(site, "series", **{step: "B*", code: "C2"}) == ["B"]
    assert by_qido(site, "series", **{"00400275.00400009": "B1", code: "C2"}) == []
    answer = ask_json(site.archive, f"/dicom-web/series?{urlencode({step: 'C1'})}")
    (series,) = [Dataset.from_json(match) for match in answer]
    assert [i.ScheduledProcedureStepID for i in series.RequestAttributesSequence] == ["C1", "C2"]


def test_what_has_no_value_is_found(site: Site) -> None:
    assert labels(by_c_find(site, EMPTY, 'AccessionNumber=""')) == ["B"]
    assert labels(by_c_find(site, b"", 'AccessionNumber=""')) == []
    assert by_qido(site, "studies", AccessionNumber='""', emptyvaluematching="true") == ["B"]


def test_all_of_several_values_are_there(site: Site) -> None:
    assert labels(by_c_find(site, MULTIPLE, "ModalitiesInStudy=CT\\SR")) == ["A"]
    assert labels(by_c_find(site, b"", "ModalitiesInStudy=CT\\SR")) == ["A", "B", "C"]
    assert by_qido(site, "studies", ModalitiesInStudy="CT,SR", multiplevaluematching="true") == ["A"]


def test_dates_are_those_of_the_zone_of_the_question(site: Site) -> None:
    """A is of 04:00 the next day in UTC, B of midnight; nobody knows where C was."""
    keys = ("StudyDate=20240201", "StudyTime", "TimezoneOffsetFromUTC=+0000")
    (match,) = by_c_find(site, ZONE, *keys)
    assert (match.StudyID, match.StudyDate, match.StudyTime) == ("A", "20240201", "040000")
    assert labels(by_c_find(site, b"", *keys)) == []
    assert by_qido(site, "studies", StudyDate="20240201", TimezoneOffsetFromUTC="+0000") == ["A"]
    assert by_qido(site, "studies", StudyDate="20240131", TimezoneOffsetFromUTC="+0000") == ["B", "C"]
    both = {"StudyDate": "20240201-20240201", "StudyTime": "0300-0500", "TimezoneOffsetFromUTC": "+0000"}
    assert by_qido(site, "studies", **both) == ["A"]


def test_the_command_line_asks_for_it(site: Site) -> None:
    def find(*options: str) -> Result:
        return CliRunner().invoke(
            main, ["find", f"GANTRY@127.0.0.1:{site.archive.port}", "--aet", "MODALITY", *options]
        )

    fuzzy = find("-x", "fuzzy", "-k", "PatientName=Muller", "-k", "PatientID=EXTENDED*")
    assert "2 matches" in fuzzy.output
    step = "RequestAttributesSequence.ScheduledProcedureStepID=C2"
    assert "1 match\n" in find("-x", "relational", "-l", "SERIES", "-k", step).output
    wrong = find("-k", "PatientName.CodeValue=x")
    assert (wrong.exit_code, "is not a sequence" in wrong.output) == (2, True)
