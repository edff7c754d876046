"""What is reported of a study after a change, on a real embedded index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.events import RouteRequested
from gantry.common.lifecycle import Deletion, DeletionState
from gantry.common.lifecycle.routes import CHANGE
from gantry.common.orders import PerformedStep
from gantry.common.ports.index import Decision, InstanceKey
from gantry.common.runtime.availability import Availability
from gantry.services.retrieve.routing.standing import StudyStanding
from tests.support.entries import entry

ENTRIES = [entry(number, f"1.2.3.1.{number}") for number in (1, 2, 3)]
COLLECTED = DeletionState(frozenset((Deletion("d1", 5, final=True),)), collected=True)
DELETED = DeletionState(frozenset((Deletion("d2", 6),)))


async def no_steps(partition: str, study: str) -> Sequence[PerformedStep]:
    return ()


async def test_what_is_collected_already_is_told_with_the_sop_class_that_the_route_names(tmp_path: Path) -> None:
    index = await open_sqlite_index(tmp_path / "index")
    await index.apply(ENTRIES)
    keys = [
        InstanceKey(instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid)
        for instance in ENTRIES
    ]
    deletion_states = zip(keys, ENTRIES, (COLLECTED, DELETED), strict=False)
    await index.decide(
        [
            Decision("default", key, instance.receipt, deletion_state)
            for key, instance, deletion_state in deletion_states
        ]
    )
    standing = StudyStanding(index, index, Availability(index), no_steps)
    named = ENTRIES[0]
    route = RouteRequested(
        *("default", "", "1.2.3", "r1", "planner", "RIS", "", "", 7),
        kind=CHANGE,
        series_instance_uids=(named.series_instance_uid,),
        sop_instance_uids=(named.sop_instance_uid,),
        sop_class_uids=(named.sop_class_uid,),
    )
    (notification,) = await standing.notifications(route, ())
    words = {
        instance.sop_instance_uid: (instance.sop_class_uid, instance.availability)
        for instance in notification.instances
    }
    expected = ["UNAVAILABLE", "UNAVAILABLE", "ONLINE"]
    assert words == {
        instance.sop_instance_uid: (instance.sop_class_uid, word)
        for instance, word in zip(ENTRIES, expected, strict=True)
    }
    await index.close()
