"""`gantry.common.access.overrides`: what is opened, for whom, until when; decided by the matcher of the index."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from gantry.common.access import EVERYTHING, NOTHING, CallerRole, Identity, Means, Sight
from gantry.common.access.overrides import (
    MOST_AT_ONCE,
    Override,
    of_overrides,
    overrides_of,
    requested_override,
    widened,
    with_further,
)
from gantry.common.dicom.query.matching import Document, Level, Query, Single, matches
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood

JANE = Identity("s1", "sso:jane", Means.ISSUER, frozenset((CallerRole.REFERRER,)), issuer="sso")
OTHERS = {
    "another subject": replace(JANE, subject="s2"),
    "another issuer": replace(JANE, issuer="other"),
    "another means": replace(JANE, means=Means.TOKEN),
    "the parts put together otherwise": replace(JANE, subject="1", issuer="ssos"),
}
STUDY, PATIENT, ANY_ISSUER = Override("1.2.3"), Override("", "P1", "HOSPITAL"), Override("", "P1")
NOW = 1000.0
REASON = "found unconscious"


def sees(sight: Sight, **attributes: str) -> bool:
    if sight.alternatives is None:
        return True
    document = Document(Level.STUDY, {TAGS[name]: [value] for name, value in attributes.items()})
    return any(matches(Query("default", Level.STUDY, conditions), document) for conditions in sight.alternatives)


def carried(overrides: tuple[Override, ...], by: Identity, to: Identity = JANE, now: float = NOW) -> Any:
    """What was sealed for `to` and is brought by `by`."""
    return overrides_of(json.loads(json.dumps(of_overrides(overrides, to))), by, now)


@pytest.mark.parametrize(("opened", "over"), list(product((STUDY, PATIENT, ANY_ISSUER), (False, True))))
@pytest.mark.parametrize("user", ["jane", *OTHERS])
def test_override_is_for_whom_it_was_sealed_until_its_time(user: str, opened: Override, over: bool) -> None:
    override = replace(opened, until=NOW if over else NOW + 0.001)
    overrides = carried((override,), OTHERS.get(user, JANE))
    assert overrides == (None if user in OTHERS else () if over else (override,))


def test_name_or_roles_that_change_do_not_end_it() -> None:
    renamed = replace(JANE, name="sso:jane.doe", roles=frozenset((CallerRole.RADIOLOGIST,)))
    assert carried((replace(STUDY, until=NOW + 1),), renamed) == (replace(STUDY, until=NOW + 1),)


@pytest.mark.parametrize(
    "content", [{}, {"opened": 1}, {"opened": [1]}, {"opened": [["1.2", "", "", None]]}, {"opened": [["1.2"]]}]
)
def test_what_another_release_sealed_opens_nothing(content: dict[str, Any]) -> None:
    mark = of_overrides((), JANE)["for"]
    assert overrides_of({**content, "for": mark}, JANE, NOW) == ()
    assert overrides_of(content, JANE, NOW) is None


@pytest.mark.parametrize(
    ("opened", "attributes", "seen"),
    [
        (STUDY, {"StudyInstanceUID": "1.2.3"}, True),
        (STUDY, {"StudyInstanceUID": "1.2.3.4"}, False),
        (STUDY, {"PatientID": "P1", "IssuerOfPatientID": "HOSPITAL"}, False),
        (PATIENT, {"PatientID": "P1", "IssuerOfPatientID": "HOSPITAL"}, True),
        (PATIENT, {"PatientID": "P1", "IssuerOfPatientID": "OTHER"}, False),
        (PATIENT, {"PatientID": "P1"}, False),
        (PATIENT, {"PatientID": "P2", "IssuerOfPatientID": "HOSPITAL"}, False),
        (ANY_ISSUER, {"PatientID": "P1", "IssuerOfPatientID": "OTHER"}, True),
        (ANY_ISSUER, {"PatientID": "P1"}, True),
        (Override("", "*"), {"PatientID": "P1"}, False),
    ],
)
def test_override_opens_one_study_or_one_patient(opened: Override, attributes: dict[str, str], seen: bool) -> None:
    assert sees(widened(NOTHING, (opened,)), **attributes) is seen


def test_what_was_seen_is_seen_further() -> None:
    own = Sight(({TAGS["InstitutionName"]: Single(("North",))},))
    both = widened(own, (STUDY, PATIENT, Override("1.2.4")))
    assert sees(both, InstitutionName="North")
    assert sees(both, StudyInstanceUID="1.2.4")
    assert not sees(both, InstitutionName="South", StudyInstanceUID="1.2.5")
    assert widened(own, ()) is own
    assert widened(EVERYTHING, (STUDY,)) is EVERYTHING
    assert widened(NOTHING, ()) is NOTHING


def test_few_are_in_force_at_once_and_the_latest_are() -> None:
    standing: tuple[Override, ...] = ()
    for number in range(20):
        standing = with_further(standing, Override(f"1.{number}", until=number))
    assert [override.study for override in standing] == [f"1.{number}" for number in range(19, 11, -1)]
    again = with_further(standing, Override("1.15", until=99.0))
    assert (len(again), again[0].until) == (MOST_AT_ONCE, 99.0)
    assert [override.study for override in again].count("1.15") == 1


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"study": "1.2.3", "reason": f" {REASON} "}, STUDY),
        ({"patient": "P1", "issuer": "HOSPITAL", "reason": REASON}, PATIENT),
        ({"patient": "P1", "reason": REASON}, ANY_ISSUER),
        ({"patient": " P1", "issuer": "", "study": "", "reason": REASON}, ANY_ISSUER),
    ],
)
def test_what_is_asked_for_is_understood(content: Any, found: Override) -> None:
    assert requested_override(content) == (found, REASON)


@pytest.mark.parametrize(
    "content",
    [
        *(None, [], "1.2.3", 1, {}),
        {"reason": REASON},
        {"study": "1.2.3"},
        {"study": "1.2.3", "patient": "P1", "reason": REASON},
        {"study": "1.2.3", "issuer": "HOSPITAL", "reason": REASON},
        {"issuer": "HOSPITAL", "reason": REASON},
        {"patient": "  ", "reason": REASON},
        {"study": "1.2.*", "reason": REASON},
        {"study": "1.2.3\\1.2.4", "reason": REASON},
        {"study": ["1.2.3"], "reason": REASON},
        {"study": "1.2.3", "reason": None},
        {"study": "1.2.3", "reason": "x" * 9},
        {"study": "1.2.3", "reason": f"x{' ' * 20}"},
        {"study": "1.2.3", "reason": "x" * 201},
        {"study": "1.2.3", "reason": f"{REASON}\nand\x1b"},
        {"study": "1.2.3", "reason": REASON, "minutes": 100_000},
        {"patient": "P" * 65, "reason": REASON},
        {"patient": "P1\\P2", "reason": REASON},
        {"patient": "P1", "issuer": "H\0", "reason": REASON},
    ],
)
def test_what_opens_not_one_study_or_patient_for_a_reason_is_refused(content: Any) -> None:
    with pytest.raises(NotUnderstood) as refused:
        requested_override(content)
    assert "1.2" not in str(refused.value)
    assert "P1" not in str(refused.value)
