"""One attempt to notify a destination of a performed procedure step (PS3.4 F.7, F.9)."""

from __future__ import annotations

from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import (
    MODALITY_PERFORMED_PROCEDURE_STEP,
    MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION,
)
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.dimse import Command, Element
from gantry.common.errors import ContextNotAccepted, DependencyUnavailable, PeerError
from gantry.common.events import RouteRequested
from gantry.common.lifecycle.routes import STEP_EVENT
from gantry.common.net import Peer, connect, scu
from gantry.common.orders import Attributes
from gantry.common.ports.blobs import BlobStore
from gantry.common.statuses import PERFORMED_PROCEDURE_STEP_IS_FINAL, status_words
from gantry.common.ul import RoleSelection
from gantry.services.retrieve.routing.attempted import Attempted
from gantry.services.retrieve.routing.step_messages import StepEventType, is_taken
from gantry.services.retrieve.routing.step_values import StepSent, read_step_attributes

SYNTAXES = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]


class StepDelivery:
    """SCP of the notification SOP class, and SCU of the class that modalities use: one association for each message."""

    def __init__(self, objects: BlobStore, timeout: float, sent: StepSent) -> None:
        """`objects` holds the attributes of messages; `timeout` of an answer in seconds. `sent` is called for each
        message that is forwarded, with why it was not accepted."""
        self._objects = objects
        self._sent = sent
        self._timeout = timeout

    async def attempt(self, route: RouteRequested, peer: Peer) -> Attempted:
        """Send the message of a route. Failures are in the result, and are not raised."""
        attempted = await self._attempt(route, peer)
        if route.kind != STEP_EVENT and (attempted.taken or attempted.failed):
            message = "N-CREATE" if route.step_event == StepEventType.IN_PROGRESS else "N-SET"
            at = (route.destination, peer.host)
            self._sent(route.study_instance_uid, message, at, route.trace, attempted.why)
        return attempted

    async def _attempt(self, route: RouteRequested, peer: Peer) -> Attempted:
        uid = route.study_instance_uid
        try:
            if route.kind == STEP_EVENT:
                response = await self._report(route, peer)
            else:
                attributes = await read_step_attributes(self._objects, route)
                if attributes is None:
                    return Attempted((), (), "what it said is erased")
                response = await self._forward(route, peer, attributes)
        except DependencyUnavailable as error:
            return Attempted((), None, str(error))
        except ContextNotAccepted as error:
            # The destination answers, but refuses: its other messages need not be delayed.
            return Attempted((), (uid,), f"{route.destination}: {error}", refused=True)
        except PeerError as error:
            return Attempted((), (uid,), f"{route.destination}: {error}")
        error_id = response.elements.get(Element.ERROR_ID, 0)
        if is_taken(route, response.status, error_id):
            return Attempted((uid,), (), "")
        words = status_words(response.status)
        if error_id == PERFORMED_PROCEDURE_STEP_IS_FINAL:
            words += f": {status_words(PERFORMED_PROCEDURE_STEP_IS_FINAL)}"
        return Attempted((), (uid,), f"{route.destination} answered {words}", refused=True)

    async def _report(self, route: RouteRequested, peer: Peer) -> Command:
        # PS3.7 D.3.3.4: the association requestor is the SCU unless it negotiates otherwise; the peer is the SCU here.
        # Event Information has no attributes (PS3.4 F.9.2): a peer that wants more asks with N-GET.
        sop_class = MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION
        roles = [RoleSelection(sop_class, False, True)]
        async with connect(peer, [(sop_class, SYNTAXES)], roles=roles) as association:
            return await scu.report_event(
                association, sop_class, route.study_instance_uid, route.step_event, timeout=self._timeout
            )

    async def _forward(self, route: RouteRequested, peer: Peer, attributes: Attributes) -> Command:
        sop_class = MODALITY_PERFORMED_PROCEDURE_STEP
        send = scu.create if route.step_event == StepEventType.IN_PROGRESS else scu.set_attributes
        async with connect(peer, [(sop_class, SYNTAXES)]) as association:
            context = scu.need_context(association, sop_class)
            data_set = encode_identifier(dict(attributes), context.transfer_syntax)
            return await send(association, sop_class, route.study_instance_uid, data_set, timeout=self._timeout)
