"""One attempt to notify an HL7 version 2 receiver of a study: a connection, a message, its acknowledgement."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import replace

from gantry.common.config.hl7_receiver_sections import Hl7ReceiverSettings
from gantry.common.config.tls import trusting
from gantry.common.dicom.standard.tags import (
    CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION,
    ISSUER_OF_PATIENT_ID,
    PATIENT_ID,
)
from gantry.common.errors import ConfigError, ConnectionFailed, GantryError, PeerError, PeerTimeout
from gantry.common.events import RouteRequested
from gantry.common.hl7.answers import Acknowledged, acknowledged
from gantry.common.hl7.charsets import decoded
from gantry.common.hl7.message import parse
from gantry.common.hl7.patient_messages import patient_message
from gantry.common.hl7.problems import MessageRefused
from gantry.common.hl7.results import (
    Attributes,
    Correspondents,
    ResultMessage,
    Standing,
    link_of,
    result_message,
)
from gantry.common.hl7.writing import MessageCharset
from gantry.common.lifecycle.routes import AVAILABILITY, CHANGE, CORRECTION, PATIENT_KINDS
from gantry.common.net.mllp_client import MllpClient
from gantry.common.orders import first
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.services.retrieve.routing.attempted import Attempted
from gantry.services.retrieve.routing.imaging_results import ImagingResults
from gantry.services.retrieve.routing.patient_news import PatientNewsReader
from gantry.services.retrieve.routing.result_verdicts import answers, verdict

ResultSent = Callable[[str, tuple[str, str], tuple[str, str], str, str, str], None]
"""Study Instance UID ("" if the message is about the patient), Patient ID and its issuer, name and host of the
receiver, trace, why the message was not accepted, and its kind."""
_MOST_OTHERS = 100
"""Most acknowledgements of other messages that are skipped."""
_CODES = frozenset(("AA", "AE", "AR", "CA", "CE", "CR"))
_KINDS = frozenset((AVAILABILITY, CHANGE, CORRECTION))
logger = get_logger("routing")


class Hl7Receiver:
    """A receiver. Files of certificates are read for each attempt, so that they can be renewed."""

    def __init__(
        self,
        settings: Hl7ReceiverSettings,
        ae_title: str,
        studies: ImagingResults,
        patients: PatientNewsReader,
        metrics: Metrics,
        sent: ResultSent,
    ) -> None:
        """`ae_title` is ours; `sent` is called for each message sent."""
        self._patients = patients
        self._settings = settings
        self._studies = studies
        self._metrics = metrics
        self._sent = sent
        self._charset = MessageCharset(settings.charset)
        ours = ae_title if settings.sending_application is None else settings.sending_application
        theirs = settings.application, settings.facility, settings.processing
        self._between = Correspondents(ours, settings.sending_facility, *theirs)

    def check(self) -> None:
        """Raises `ConfigError` if a file that the settings name cannot be used now."""
        try:
            _context(self._settings)
        except PeerError as error:
            raise ConfigError("routing.receivers", None, f"{self._settings.name}: {error}") from None

    async def attempt(self, route: RouteRequested) -> Attempted:
        """Send the message of a route. Failures are in the result, and are not raised."""
        name = self._settings.name
        if route.kind in PATIENT_KINDS:
            return await self._tell_of_patient(route)
        if route.kind not in _KINDS:
            return Attempted((), (), f"{name} is an HL7 receiver: it is told of studies, and gets no objects")
        try:
            result = await self._studies.result_of(route)
        except GantryError as error:
            return Attempted((), None, str(error))
        if result is None:
            return self._attempt_without_content(route)
        if self._may_not_hear_of(result.attributes):
            return Attempted((), (), f"the study is confidential, and {name} is told of no such study")
        if self._settings.link is not None and result.standing is not Standing.GONE:
            link = link_of(self._settings.link, result.study_instance_uid, result.attributes)
            result = replace(result, link=link)
        message = result_message(result, self._between, self._charset)
        return await self._send(route, message, result.attributes, result.study_instance_uid, "HL7 ORU^R01")

    async def _tell_of_patient(self, route: RouteRequested) -> Attempted:
        try:
            news = await self._patients.news_of(route)
        except GantryError as error:
            return Attempted((), None, str(error))
        if news is None:
            return Attempted(
                (),
                (),
                "nothing to tell: the patient is gone or was merged, or a merge was taken back",
            )
        if self._may_not_hear_of(news.attributes):
            return Attempted(
                (), (), f"the patient is confidential, and {self._settings.name} is told of no such patient"
            )
        message = patient_message(news, self._between, self._charset)
        over = f"HL7 ADT^{news.event.value[0]}"
        return await self._send(route, message, news.attributes, "", over)

    def _may_not_hear_of(self, attributes: Attributes) -> bool:
        marked = first(attributes, CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION)
        return bool(marked) and not self._settings.confidential

    def _attempt_without_content(self, route: RouteRequested) -> Attempted:
        uid = route.study_instance_uid
        if route.kind == CHANGE:
            # A receiver that was notified of it before has to be told by a person: `gantry routes list --failed` lists
            # it.
            return Attempted((), (uid,), "nothing is known of this study any more, not even its patient", refused=True)
        return Attempted((), (), "nothing of it is left to tell")

    async def _send(
        self, route: RouteRequested, message: ResultMessage, attributes: Attributes, study: str, over: str
    ) -> Attempted:
        about, name = study or route.study_instance_uid, self._settings.name
        code = "none"
        try:
            answer = await self._exchange(message)
            attempted = verdict(name, answer, message.control_id, about)
            code = answer.code if answer.code in _CODES else "other"
        except PeerError as error:
            attempted = Attempted((), (about,), f"{name}: {error}")
        self._metrics.hl7_sent.labels(name, code).inc()
        logger.info("HL7 message sent", destination=name, control_id=message.control_id, code=code, trace=route.trace)
        patient = first(attributes, PATIENT_ID), first(attributes, ISSUER_OF_PATIENT_ID)
        self._sent(study, patient, (name, self._settings.host), route.trace, attempted.why, over)
        return attempted

    async def _exchange(self, message: ResultMessage) -> Acknowledged:
        """Send a message; its acknowledgement. Raises
        `PeerError`."""
        settings = self._settings
        context = await asyncio.to_thread(_context, settings)
        async with MllpClient(
            settings.host, settings.port, context, settings.response_timeout, settings.connect_timeout
        ) as client:
            try:
                async with asyncio.timeout(settings.response_timeout):
                    answer = _acknowledged(await client.send(message.content))
                    passed_over = 0
                    while not answers(answer, message.control_id):
                        passed_over += 1
                        if passed_over > _MOST_OTHERS:
                            raise ConnectionFailed("it answers what it was not asked")
                        answer = _acknowledged(await client.receive())
            except TimeoutError:
                raise PeerTimeout(f"no acknowledgement in {settings.response_timeout:g} s") from None
        return answer


def _acknowledged(answer: bytes) -> Acknowledged:
    """The acknowledgement in an answer. Raises `ConnectionFailed` for anything but an HL7 message."""
    try:
        text = decoded(answer)
    except MessageRefused:
        # Its text may be in any character set; codes and control IDs are ASCII.
        text = answer.decode("ascii", "replace")
    try:
        return acknowledged(parse(text))
    except MessageRefused:
        raise ConnectionFailed("what it answers is no HL7 message") from None


def _context(settings: Hl7ReceiverSettings) -> ssl.SSLContext | None:
    """How the receiver is trusted, and our certificate; None without TLS. Raises `PeerError`."""
    if not settings.tls:
        return None
    try:
        context = trusting(settings.ca_file)
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ConfigError) as error:
        raise PeerError(f"its files cannot be used: {error}") from None
    return context
