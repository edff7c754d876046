"""Instance Availability Notification (PS3.4 R, PS3.3 C.4.23): schedulers are notified which instances are here."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import INSTANCE_AVAILABILITY_NOTIFICATION
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.ids import new_uid
from gantry.common.net import Peer, connect, scu
from gantry.common.statuses import SUCCESS, is_warning
from gantry.services.retrieve.routing.notifications import AvailabilityNotification, attributes_of

SYNTAXES = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]


class AvailabilityNotifier:
    """SCU of the SOP class."""

    def __init__(self, ae_title: str, timeout: float) -> None:
        """`ae_title` is the one to retrieve from; `timeout` of an answer in seconds."""
        self._ae_title = ae_title
        self._timeout = timeout

    async def notify(self, peer: Peer, notifications: Sequence[AvailabilityNotification]) -> int:
        """Send notifications over one association. Returns the first failure status, or else the last status. Raises a
        `PeerError`."""
        status = SUCCESS
        async with connect(peer, [(INSTANCE_AVAILABILITY_NOTIFICATION, SYNTAXES)]) as association:
            context = scu.need_context(association, INSTANCE_AVAILABILITY_NOTIFICATION)
            for notification in notifications:
                data_set = encode_identifier(attributes_of(notification, self._ae_title), context.transfer_syntax)
                response = await scu.create(
                    association, INSTANCE_AVAILABILITY_NOTIFICATION, new_uid(), data_set, timeout=self._timeout
                )
                status = response.status
                if status and not is_warning(status):
                    break
        return status
