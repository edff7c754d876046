"""`gantry.services.query.viewer.invoked`: what another system asks for, as an address of the page (IHE RAD-106)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from gantry.common.errors import NotUnderstood
from gantry.common.web.routes import is_page
from gantry.services.query.viewer.invoked import address_of


def shown(**parameters: str) -> dict[str, str]:
    address = urlsplit(address_of(parameters))
    assert (address.scheme, address.netloc, address.path) == ("", "", "/")
    return {name: values[0] for name, values in parse_qs(address.query).items()}


def test_a_study_is_opened_and_several_are_listed() -> None:
    assert shown(requestType="STUDY", studyUID="1.2.3") == {"study": "1.2.3"}
    assert shown(requestType="STUDY", studyUID="1.2.3,1.2.4") == {"q": "1.2.3 1.2.4"}
    assert shown(requestType="STUDY", accessionNumber="A 1") == {"q": 'acc:"A 1"', "open": "only"}
    assert shown(requestType="STUDY", accessionNumber="A1, A2") == {"q": 'acc:"A1" acc:"A2"'}


def test_a_patient_is_the_one_with_that_id_and_issuer() -> None:
    assert shown(requestType="PATIENT", patientID="4711") == {"q": 'id:"4711"'}
    fields = shown(requestType="PATIENT", patientID="4711^^^HOSPITAL&1.2.3&ISO", mostRecentResults="1")
    assert fields == {"q": 'id:"4711" issuer:"HOSPITAL"', "open": "newest"}
    narrowed = shown(
        requestType="PATIENT",
        patientID="4711^^^&1.2.3&ISO",
        patientBirthDate="19800203",
        lowerDateTime="2024-01-31T10:00:00Z",
        upperDateTime="2024-02-01",
        modalitiesInStudy="CT,MR",
        mostRecentResults="5",
        keyImagesOnly="true",
    )
    assert narrowed == {"q": 'id:"4711" born:1980-02-03 since:2024-01-31 until:2024-02-01 mod:CT mod:MR'}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"requestType": "IMAGE", "studyUID": "1.2.3"},
        {"requestType": "STUDY"},
        {"requestType": "STUDY", "studyUID": "1.2.x"},
        {"requestType": "STUDY", "studyUID": "//evil.example"},
        {"requestType": "STUDY", "accessionNumber": ","},
        {"requestType": "STUDY", "accessionNumber": 'A" id:"1'},
        {"requestType": "STUDY", "accessionNumber": "A*"},
        {"requestType": "STUDY", "accessionNumber": "A\\B"},
        {"requestType": "STUDY", "accessionNumber": "A" * 65},
        {"requestType": "STUDY", "accessionNumber": ",".join("A" * 33)},
        {"requestType": "PATIENT"},
        {"requestType": "PATIENT", "patientID": "^^^HOSPITAL"},
        {"requestType": "PATIENT", "patientID": "47\n11"},
        {"requestType": "PATIENT", "patientID": "1?"},
        {"requestType": "PATIENT", "patientID": "1", "lowerDateTime": "yesterday"},
        {"requestType": "PATIENT", "patientID": "1", "modalitiesInStudy": "CT id:2"},
    ],
    ids=str,
)
def test_what_is_no_such_question_is_refused_in_words(asked: dict[str, str]) -> None:
    with pytest.raises(NotUnderstood) as refused:
        address_of(asked)
    assert ":" in str(refused.value) or "needed" in str(refused.value)


def test_it_is_a_path_of_the_page() -> None:
    assert is_page("/IHEInvokeImageDisplay")
    assert not is_page("/IHEInvokeImageDisplay/x")
