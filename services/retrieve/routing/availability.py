"""Instance Availability Notification (PS3.4 R, PS3.3 C.4.23): whoever plans work is told which instances are here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import INSTANCE_AVAILABILITY_NOTIFICATION
from gantry.common.dicom.standard.tags import (
    INSTANCE_AVAILABILITY,
    REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE,
    REFERENCED_SERIES_SEQUENCE,
    REFERENCED_SOP_CLASS_UID,
    REFERENCED_SOP_INSTANCE_UID,
    REFERENCED_SOP_SEQUENCE,
    RETRIEVE_AE_TITLE,
    SERIES_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.ids import new_uid
from gantry.common.net import Peer, connect, scu
from gantry.common.ports.index import Location
from gantry.common.runtime.availability import Availability

SYNTAXES = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]


class AvailabilityNotifier:
    """SCU of the SOP class."""

    def __init__(self, availability: Availability, ae_title: str, timeout: float) -> None:
        """`ae_title` is whom to retrieve from; `timeout` in seconds, for an answer."""
        self._availability = availability
        self._ae_title = ae_title
        self._timeout = timeout

    async def notify(self, peer: Peer, study: str, locations: Sequence[Location]) -> int:
        """Tell of instances of a study, in one notification. Returns the status. Raises a `PeerError`, and
        `DependencyUnavailable`."""
        keys = [(study, one.series_instance_uid, one.sop_instance_uid) for one in locations]
        words = await self._availability.of_keys(Level.IMAGE, keys)
        notification = notification_of(study, locations, words, self._ae_title)
        async with connect(peer, [(INSTANCE_AVAILABILITY_NOTIFICATION, SYNTAXES)]) as association:
            context = scu.need_context(association, INSTANCE_AVAILABILITY_NOTIFICATION)
            data_set = encode_identifier(notification, context.transfer_syntax)
            response = await scu.create(
                association, INSTANCE_AVAILABILITY_NOTIFICATION, new_uid(), data_set, timeout=self._timeout
            )
            return response.status


def notification_of(
    study: str, locations: Sequence[Location], words: Sequence[str], ae_title: str
) -> dict[int, list[Any]]:
    """The attributes of a notification: for each instance its `words`, ONLINE and the like."""
    series: dict[str, list[Mapping[int, list[Any]]]] = {}
    for location, word in zip(locations, words, strict=True):
        series.setdefault(location.series_instance_uid, []).append(
            {
                RETRIEVE_AE_TITLE: [ae_title],
                INSTANCE_AVAILABILITY: [word],
                REFERENCED_SOP_CLASS_UID: [location.sop_class_uid],
                REFERENCED_SOP_INSTANCE_UID: [location.sop_instance_uid],
            }
        )
    return {
        # Type 2: which steps made them is not told here.
        REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE: [],
        REFERENCED_SERIES_SEQUENCE: [
            {REFERENCED_SOP_SEQUENCE: references, SERIES_INSTANCE_UID: [uid]} for uid, references in series.items()
        ],
        STUDY_INSTANCE_UID: [study],
    }
