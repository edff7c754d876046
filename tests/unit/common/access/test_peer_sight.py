"""`gantry.common.access.peer_sight`: which studies a peer sees, decided by the matcher of the index."""

from typing import Any

import pytest

from gantry.common.access import EVERYTHING, NOTHING, Sight, intersection, sight_of_peer
from gantry.common.config.seen_studies import SeenStudies
from gantry.common.dicom.query.matching import Document, Level, Query, Single, matches
from gantry.common.dicom.standard.dictionary import TAGS

CODE = {TAGS["PersonIdentificationCodeSequence"]: [{TAGS["CodeValue"]: ["4711"]}]}
CT_OF_NORTH: dict[str, list[Any]] = {"InstitutionName": ["North"], "ModalitiesInStudy": ["CT", "SR"]}


def entries(*studies: dict[str, list[str]]) -> Sight:
    return sight_of_peer([SeenStudies.model_validate(entry) for entry in studies])


def sees(sight: Sight, **attributes: list[Any]) -> bool:
    if sight.alternatives is None:
        return True
    document = Document(Level.STUDY, {TAGS[name]: values for name, values in attributes.items()})
    return any(matches(Query("default", Level.STUDY, conditions), document) for conditions in sight.alternatives)


def test_peer_without_entries_sees_everything_and_one_with_none_nothing() -> None:
    assert sight_of_peer(None) is EVERYTHING
    assert sight_of_peer(()) == NOTHING


@pytest.mark.parametrize(
    ("entry", "seen"),
    [
        ({"institution": ["North"]}, True),
        ({"institution": ["East", "North"]}, True),
        ({"institution": ["South"]}, False),
        ({"institution": ["NORTH", "N*"]}, False),
        ({"modality": ["SR"]}, True),
        ({"modality": ["MR"]}, False),
        ({"institution": ["North"], "modality": ["MR", "CT"]}, True),
        ({"institution": ["North"], "modality": ["MR"]}, False),
        ({"institution": ["South"], "modality": ["CT"]}, False),
        ({"referrer": ["Doe^Jane"]}, False),
    ],
)
def test_study_is_seen_if_it_has_a_value_of_each_key(entry: dict[str, list[str]], seen: bool) -> None:
    assert sees(entries(entry), **CT_OF_NORTH) is seen


@pytest.mark.parametrize(
    ("entry", "attributes"),
    [
        ({"referrer": ["Doe^Jane"]}, {"ReferringPhysicianName": [{"Alphabetic": "DOE^JANE"}]}),
        ({"referrer_id": ["4711"]}, {"ReferringPhysicianIdentificationSequence": [CODE]}),
        ({"patient": ["P1"], "patient_issuer": ["H"]}, {"PatientID": ["P1"], "IssuerOfPatientID": ["H"]}),
        ({"department": ["Cardiology"]}, {"InstitutionalDepartmentName": ["Cardiology"]}),
    ],
)
def test_each_key_is_compared_with_its_attribute(entry: dict[str, list[str]], attributes: dict[str, Any]) -> None:
    assert sees(entries(entry), **attributes)
    assert not sees(entries(entry), **{key: [] for key in attributes})


def test_study_is_seen_if_it_meets_one_of_several_entries() -> None:
    sight = entries({"institution": ["South"]}, {"modality": ["CT"]})
    assert sees(sight, **CT_OF_NORTH)
    assert not sees(sight, InstitutionName=["North"], ModalitiesInStudy=["MR"])


def test_what_two_see_is_what_each_of_them_sees() -> None:
    north, south = entries({"institution": ["North"]}), entries({"institution": ["South"]})
    scans = entries({"modality": ["CT"]}, {"modality": ["MR"]})
    assert intersection(EVERYTHING, north) is north
    assert intersection(north, EVERYTHING) is north
    assert intersection(NOTHING, north) == intersection(north, NOTHING) == NOTHING
    assert sees(intersection(north, scans), **CT_OF_NORTH)
    assert not sees(intersection(north, entries({"modality": ["MR"]})), **CT_OF_NORTH)
    assert not sees(intersection(north, south), **CT_OF_NORTH)
    assert sees(intersection(north, entries({"institution": ["North", "East"]})), **CT_OF_NORTH)


def test_conditions_on_one_attribute_all_hold() -> None:
    tag = TAGS["ModalitiesInStudy"]
    both_twice = intersection(
        intersection(entries({"modality": ["CT"]}), entries({"modality": ["SR"]})), Sight(({tag: Single(("MR",))},))
    )
    assert not sees(both_twice, **CT_OF_NORTH)
    assert sees(both_twice, ModalitiesInStudy=["CT", "SR", "MR"])
