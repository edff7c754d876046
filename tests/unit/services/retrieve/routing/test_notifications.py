"""What a notification of availability says, by performed procedure step."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.sop_classes import MODALITY_PERFORMED_PROCEDURE_STEP
from gantry.common.orders import PerformedState, PerformedStep
from gantry.services.retrieve.routing.notifications import (
    UNAVAILABLE,
    AvailabilityNotification,
    InstanceAvailability,
    attributes_of,
    notifications,
)

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY, SERIES = "1.2", "1.2.1"
HERE = [InstanceAvailability(SERIES, CT, f"1.2.1.{number}", "ONLINE") for number in range(4)]


def step(uid: str, *made: str, studies: tuple[str, ...] = (STUDY,)) -> PerformedStep:
    references = [
        {TAGS["ReferencedSOPClassUID"]: [CT], TAGS["ReferencedSOPInstanceUID"]: [instance_uid]} for instance_uid in made
    ]
    series = {TAGS["SeriesInstanceUID"]: [SERIES], TAGS["ReferencedImageSequence"]: references}
    attributes: dict[int, list[Any]] = {
        TAGS["ScheduledStepAttributesSequence"]: [{TAGS["StudyInstanceUID"]: [study]} for study in studies],
        TAGS["PerformedSeriesSequence"]: [series],
    }
    return PerformedStep("default", uid, PerformedState.COMPLETED, attributes)


def told(
    changed: list[InstanceAvailability], *steps: PerformedStep, whole: bool = True
) -> list[tuple[str, list[tuple[str, str]]]]:
    made = notifications(STUDY, HERE, {instance.key for instance in changed}, steps, whole=whole)
    return [
        (notification.step, [(each.sop_instance_uid, each.availability) for each in notification.instances])
        for notification in made
    ]


def online(*numbers: int) -> list[tuple[str, str]]:
    return [(HERE[number].sop_instance_uid, "ONLINE") for number in numbers]


def test_without_a_step_the_whole_is_told_or_what_came() -> None:
    assert told(HERE[:1]) == [("", online(0, 1, 2, 3))]
    assert told(HERE[:1], whole=False) == [("", online(0))]
    assert told([]) == []


def test_what_a_step_made_is_told_whole_and_with_its_name() -> None:
    made = step("9.1", "1.2.1.0", "1.2.1.1")
    assert told(HERE[:1], made, whole=False) == [("9.1", online(0, 1))]
    assert told(HERE[1:3], made, whole=False) == [("9.1", online(0, 1)), ("", online(2))]
    # Nothing of the step changed.
    assert told(HERE[2:3], made) == [("", online(2, 3))]


def test_what_a_step_made_and_was_never_here_is_unavailable() -> None:
    made = step("9.1", "1.2.1.0", "1.2.1.9", "1.2.1.9")
    assert told(HERE[:1], made) == [("9.1", [*online(0), ("1.2.1.9", UNAVAILABLE)])]
    # It is not said of which of its studies that was.
    assert told(HERE[:1], step("9.1", "1.2.1.0", "1.2.1.9", studies=(STUDY, "1.3"))) == [("9.1", online(0))]


def test_an_instance_that_two_steps_name_is_told_of_both() -> None:
    steps = step("9.2", "1.2.1.0", "1.2.1.1"), step("9.1", "1.2.1.0")
    assert told(HERE[:2], *steps) == [("9.1", online(0)), ("9.2", online(0, 1))]


@given(st.sets(st.integers(0, 3)), st.sets(st.integers(0, 3)), st.booleans())
def test_all_that_changed_is_told_once(changed: set[int], of_step: set[int], whole: bool) -> None:
    made = step("9.1", *(HERE[number].sop_instance_uid for number in sorted(of_step)))
    uids = [uid for _, words in told([HERE[number] for number in changed], made, whole=whole) for uid, _ in words]
    assert len(uids) == len(set(uids))
    assert {HERE[number].sop_instance_uid for number in changed} <= set(uids)


def test_attributes_are_those_of_the_table() -> None:
    """PS3.4 table R.3.2-1."""
    other = InstanceAvailability("1.2.2", CT, "1.2.2.1", UNAVAILABLE)
    attributes = attributes_of(AvailabilityNotification(STUDY, "9.1", [*HERE[:2], other]), "GANTRY")
    assert attributes[TAGS["StudyInstanceUID"]] == [STUDY]
    assert attributes[TAGS["ReferencedPerformedProcedureStepSequence"]] == [
        {
            TAGS["ReferencedSOPClassUID"]: [MODALITY_PERFORMED_PROCEDURE_STEP],
            TAGS["ReferencedSOPInstanceUID"]: ["9.1"],
            TAGS["PerformedWorkitemCodeSequence"]: [],
        }
    ]
    first, second = attributes[TAGS["ReferencedSeriesSequence"]]
    assert len(first[TAGS["ReferencedSOPSequence"]]) == 2
    assert second[TAGS["SeriesInstanceUID"]] == ["1.2.2"]
    assert second[TAGS["ReferencedSOPSequence"]] == [
        {
            TAGS["RetrieveAETitle"]: ["GANTRY"],
            TAGS["InstanceAvailability"]: [UNAVAILABLE],
            TAGS["ReferencedSOPClassUID"]: [CT],
            TAGS["ReferencedSOPInstanceUID"]: ["1.2.2.1"],
        }
    ]
    unnamed = attributes_of(AvailabilityNotification(STUDY, "", HERE), "GANTRY")
    assert unnamed[TAGS["ReferencedPerformedProcedureStepSequence"]] == []
