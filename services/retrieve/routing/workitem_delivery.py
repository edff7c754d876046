"""One attempt to notify a subscriber of a workitem (PS3.4 CC.2.4): N-EVENT-REPORT on an association that we open."""

from __future__ import annotations

from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import UNIFIED_PROCEDURE_STEP_EVENT, UNIFIED_PROCEDURE_STEP_PUSH
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.dimse import Command
from gantry.common.errors import ContextNotAccepted, DependencyUnavailable, PeerError
from gantry.common.events import RouteRequested
from gantry.common.net import Peer, connect, scu
from gantry.common.orders import Attributes
from gantry.common.ports.blobs import BlobStore
from gantry.common.statuses import SUCCESS, is_warning, status_words
from gantry.common.ul import RoleSelection
from gantry.common.workitems.model import PROCEDURE_STEP_STATE
from gantry.common.workitems.reports import INFORMATION, READINESS, REQUESTING_AE, EventType
from gantry.services.retrieve.routing.attempted import Attempted
from gantry.services.retrieve.routing.step_values import StepSent, read_step_attributes

SYNTAXES = [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]


class WorkitemDelivery:
    """SCP of the Event SOP class: one association for each report."""

    def __init__(self, objects: BlobStore, timeout: float, sent: StepSent) -> None:
        """`objects` holds the attributes; `timeout` of an answer in seconds. `sent` is called for each report, with why
        it was not accepted."""
        self._objects = objects
        self._timeout = timeout
        self._sent = sent

    async def attempt(self, route: RouteRequested, peer: Peer) -> Attempted:
        """Send the report of a route. Failures are in the result, and are not raised."""
        attempted = await self._attempt(route, peer)
        if attempted.taken or attempted.failed:
            at = (route.destination, peer.host)
            self._sent(route.study_instance_uid, "N-EVENT-REPORT", at, route.trace, attempted.why)
        return attempted

    async def _attempt(self, route: RouteRequested, peer: Peer) -> Attempted:
        uid = route.study_instance_uid
        try:
            information = await self._information(route)
            if information is None:
                return Attempted((), (), "what it said is erased")
            response = await self._report(route, peer, information)
        except DependencyUnavailable as error:
            return Attempted((), None, str(error))
        except ContextNotAccepted as error:
            return Attempted((), (uid,), f"{route.destination}: {error}", refused=True)
        except PeerError as error:
            return Attempted((), (uid,), f"{route.destination}: {error}")
        if response.status == SUCCESS or is_warning(response.status):
            return Attempted((uid,), (), "")
        return Attempted((), (uid,), f"{route.destination} answered {status_words(response.status)}", refused=True)

    async def _information(self, route: RouteRequested) -> Attributes | None:
        """The event information (table CC.2.4-1); None if the attributes are erased or damaged."""
        kind = EventType(route.step_event)
        if kind is EventType.STATE:
            readiness = [route.step_readiness] if route.step_readiness else []
            return {PROCEDURE_STEP_STATE: [route.step_state], READINESS: readiness}
        attributes = await read_step_attributes(self._objects, route)
        if attributes is None:
            return None
        information = {tag: attributes[tag] for tag in INFORMATION[kind] if attributes.get(tag)}
        return (
            {**information, REQUESTING_AE: [route.requestor[:16]]}
            if kind is EventType.CANCEL_REQUESTED
            else information
        )

    async def _report(self, route: RouteRequested, peer: Peer, information: Attributes) -> Command:
        # PS3.7 D.3.3.4: the association requestor is the SCU unless it negotiates otherwise; the peer is the SCU here.
        context_class = UNIFIED_PROCEDURE_STEP_EVENT
        roles = [RoleSelection(context_class, False, True)]
        async with connect(peer, [(context_class, SYNTAXES)], roles=roles) as association:
            context = scu.any_context(association, context_class)
            return await scu.report_event(
                association,
                context_class,
                route.study_instance_uid,
                route.step_event,
                encode_identifier(dict(information), context.transfer_syntax),
                # PS3.4 CC.3.1: a workitem is always of the SOP class Push.
                about=UNIFIED_PROCEDURE_STEP_PUSH,
                timeout=self._timeout,
            )
