"""Telling HL7 receivers of studies over real sockets: what they answer, and what else they do."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import SqliteIndex, SqliteLog, open_sqlite_index, open_sqlite_log
from gantry.common.adapters.sqlite.orders.index import SqliteOrders
from gantry.common.clock import SystemClock
from gantry.common.config.hl7_receiver_sections import Hl7ReceiverSettings
from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.dicom.standard.tags import CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION, PATIENT_NAME
from gantry.common.errors import ConfigError, DependencyUnavailable
from gantry.common.events import INDEXED, INDEXERS, PatientCorrected, RouteRequested
from gantry.common.hl7.message import Hl7Message
from gantry.common.hl7.mllp import framed
from gantry.common.ids import Receipt
from gantry.common.lifecycle import Deletion, DeletionState, Values
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.lifecycle.routes import (
    AVAILABILITY,
    CHANGE,
    CORRECTION,
    OBJECTS,
    PATIENT_CORRECTION,
    PATIENT_MERGE,
)
from gantry.common.ports.blobs import BlobStore
from gantry.common.ports.index import Decision, InstanceKey
from gantry.common.runtime.corrections import CorrectionSubject, write_values
from gantry.common.telemetry.metrics import Metrics
from gantry.services.corrections import CorrectionDesk
from gantry.services.indexer.corrections import changes_of
from gantry.services.retrieve.routing.attempted import Attempted
from gantry.services.retrieve.routing.imaging_results import ImagingResults
from gantry.services.retrieve.routing.patient_news import PatientNewsReader
from gantry.services.retrieve.routing.result_delivery import Hl7Receiver
from tests.support.certificates import Authority
from tests.support.entries import entry
from tests.support.mllp_receiver import MllpReceiver, acknowledgement, mllp_receiver
from tests.support.orders import order, placed
from tests.support.ports import free_port

ENTRY = entry(1, PatientID="P1", PatientName={"Alphabetic": "Müller^Jörg"}, Modality="CT", AccessionNumber="A1")
ROUTE = RouteRequested(
    "default", "t1", "1.2.3", "r1", "planner", "RIS", "", "", 1_790_000_000_000_000, kind=AVAILABILITY
)
HIDDEN = DeletionState(frozenset((Deletion("d1", 5),)))


@dataclass
class Site:
    """What is told of, and what was put on record: study, patient, receiver, and why it was not taken."""

    index: SqliteIndex
    orders: SqliteOrders
    objects: BlobStore
    log: SqliteLog
    metrics: Metrics = field(default_factory=Metrics)
    sent: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def patients(self) -> PatientNewsReader:
        desk = CorrectionDesk(self.objects, self.log, self.index, SystemClock(), patience=0.2)
        return PatientNewsReader(self.objects, desk)

    def receiver(self, port: int, host: str = "127.0.0.1", **more: Any) -> Hl7Receiver:
        settings = Hl7ReceiverSettings(name="RIS", host=host, port=port, **({"response_timeout": 5.0} | more))
        studies = ImagingResults(self.index, self.orders, _at_once, SystemClock())
        return Hl7Receiver(
            settings, "GANTRY", studies, self.patients, self.metrics, lambda *notice: self.sent.append(notice)
        )

    def count(self, code: str) -> float:
        labels = {"destination": "RIS", "code": code}
        return self.metrics.registry.get_sample_value("gantry_hl7_sent_total", labels) or 0.0


async def _at_once() -> None:
    return None


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    index, orders = await open_sqlite_index(tmp_path / "index"), SqliteOrders()
    await index.apply([ENTRY])
    objects, log = (
        await open_file_store(tmp_path / "objects"),
        await open_sqlite_log(tmp_path / "log.db", SystemClock()),
    )
    async with log.consumer(INDEXERS, INDEXED):
        yield Site(index, orders, objects, log)
    await log.close()
    await objects.close()
    await orders.close()
    await index.close()


@pytest.fixture
async def ris() -> AsyncIterator[MllpReceiver]:
    async with mllp_receiver() as receiver:
        yield receiver


async def hide(site: Site) -> None:
    key = InstanceKey(ENTRY.study_instance_uid, ENTRY.series_instance_uid, ENTRY.sop_instance_uid)
    await site.index.decide([Decision("default", key, ENTRY.receipt, HIDDEN)])


def statuses(message: Hl7Message) -> tuple[str, str]:
    order_, seen = message.first("OBR"), message.first("OBX")
    assert order_ is not None
    assert seen is not None
    return order_.text(25), seen.text(11)


@pytest.mark.parametrize("code", ["AA", "CA"])
async def test_what_is_accepted_is_delivered_counted_and_on_record(site: Site, ris: MllpReceiver, code: str) -> None:
    ris.answer = lambda message: acknowledgement(message, code)
    attempted = await site.receiver(ris.port).attempt(ROUTE)
    assert (attempted.is_done, attempted.taken) == (True, ("1.2.3",))
    (message,) = ris.messages
    assert (message.kind, statuses(message)) == ("ORU^R01", ("R", "O"))
    assert site.count(code) == 1
    assert site.sent == [("1.2.3", ("P1", ""), ("RIS", "127.0.0.1"), "t1", "", "HL7 ORU^R01")]


@pytest.mark.parametrize("code", ["AE", "AR", "CE", "CR"])
async def test_what_is_refused_fails_in_words(site: Site, ris: MllpReceiver, code: str) -> None:
    ris.answer = lambda message: acknowledgement(message, code, "no such order")
    attempted = await site.receiver(ris.port).attempt(ROUTE)
    assert (attempted.is_done, attempted.refused) == (False, True)
    assert attempted.why == f"RIS answered {code}: no such order"
    assert (site.count(code), site.sent[0][-2]) == (1, attempted.why)


async def test_the_same_message_comes_again_after_a_lost_acknowledgement(site: Site, ris: MllpReceiver) -> None:
    ris.answer = lambda _: b""
    receiver = site.receiver(ris.port)
    attempted = await receiver.attempt(ROUTE)
    assert (attempted.is_done, attempted.refused) == (False, False)
    assert attempted.why == "RIS: the peer closed the connection without an answer"
    ris.answer = acknowledgement
    assert (await site.receiver(ris.port).attempt(ROUTE)).is_done
    assert ris.came[0] == ris.came[1]
    assert (site.count("none"), site.count("AA")) == (1, 1)
    # Another cause is another message.
    await receiver.attempt(replace(ROUTE, route="r2"))
    assert ris.messages[2].control_id != ris.messages[1].control_id


Answers = Callable[[Hl7Message], bytes | None]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(lambda _: None, "no acknowledgement in 0.3 s", id="silence"),
        pytest.param(lambda _: b"\x0bMSH|", "no acknowledgement in 0.3 s", id="half an answer"),
        pytest.param(lambda _: b"HTTP/1.1 400 Bad Request\r\n" * 9, "is not MLLP", id="no MLLP"),
        pytest.param(lambda _: framed(b"hello"), "is no HL7 message", id="no HL7"),
        pytest.param(lambda _: framed(b"MSH|^~\\&|X"), "is no acknowledgement", id="no MSA"),
        pytest.param(lambda message: acknowledgement(message, "XX"), "is no acknowledgement", id="no code"),
        pytest.param(
            lambda message: acknowledgement(message, control_id="OLD"), "no acknowledgement in 0.3 s", id="another"
        ),
        pytest.param(
            lambda message: acknowledgement(message, control_id="OLD") * 200, "it was not asked", id="many others"
        ),
        pytest.param(lambda _: b"\x0b" + b"x" * (2 << 20), "is not MLLP", id="too long"),
    ],
)
async def test_what_is_no_answer_is_trouble_of_the_receiver_and_tried_again(
    site: Site, ris: MllpReceiver, answer: Answers, words: str
) -> None:
    ris.answer = answer
    attempted = await site.receiver(ris.port, response_timeout=0.3).attempt(ROUTE)
    assert (attempted.is_done, attempted.refused, attempted.failed) == (False, False, ("1.2.3",))
    assert words in attempted.why


async def test_a_receiver_that_trickles_is_left_when_its_time_is_over(site: Site) -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x0b")
        while not writer.is_closing():
            writer.write(acknowledgement_of_another())
            await asyncio.sleep(0.05)

    def acknowledgement_of_another() -> bytes:
        return b"MSH|^~\\&|RIS\rMSA|AA|OLD\r\x1c\r\x0b"

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    try:
        began = time.monotonic()
        attempted = await site.receiver(server.sockets[0].getsockname()[1], response_timeout=0.5).attempt(ROUTE)
        assert time.monotonic() - began < 3
        assert attempted.why == "RIS: no acknowledgement in 0.5 s"
    finally:
        server.close()


async def test_an_acknowledgement_that_comes_late_is_not_taken_for_that_of_the_next(
    site: Site, ris: MllpReceiver
) -> None:
    ris.answer = lambda message: (
        acknowledgement(message, control_id="EARLIER") + acknowledgement(message, "AE", "unknown")
    )
    attempted = await site.receiver(ris.port).attempt(ROUTE)
    assert attempted.why == "RIS answered AE: unknown"


async def test_a_receiver_that_is_away_is_said_to_be(site: Site) -> None:
    attempted = await site.receiver(free_port()).attempt(ROUTE)
    assert (attempted.is_done, attempted.refused) == (False, False)
    assert attempted.why.startswith("RIS: no connection to 127.0.0.1:")
    attempted = await site.receiver(104, "a..b").attempt(ROUTE)
    assert (attempted.is_done, attempted.refused) == (False, False)
    assert attempted.why.startswith("RIS: no connection to a..b:104")


async def test_a_route_waits_while_orders_cannot_be_read(site: Site, ris: MllpReceiver) -> None:
    async def away() -> None:
        raise DependencyUnavailable("log", "it is away")

    studies = ImagingResults(site.index, site.orders, away, SystemClock())
    settings = Hl7ReceiverSettings(name="RIS", host="127.0.0.1", port=ris.port)
    attempted = await Hl7Receiver(settings, "GANTRY", studies, site.patients, site.metrics, lambda *_: None).attempt(
        ROUTE
    )
    assert (attempted.failed, attempted.refused, ris.came) == (None, False, [])


async def test_a_receiver_that_never_ends_its_handshake_is_left(site: Site) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        began = time.monotonic()
        attempted = await site.receiver(port, tls=True, connect_timeout=0.3).attempt(ROUTE)
        assert (attempted.is_done, attempted.refused) == (False, False)
        assert attempted.why == f"RIS: 127.0.0.1:{port} does not answer"
        assert time.monotonic() - began < 3
    finally:
        server.close()


async def test_the_order_of_a_study_is_in_the_message_unless_it_is_of_another_patient(
    site: Site, ris: MllpReceiver
) -> None:
    values = order(
        PlacerOrderNumberImagingServiceRequest="PL1",
        FillerOrderNumberImagingServiceRequest="F1",
        StudyInstanceUID="9.9",
    )
    await site.orders.apply([placed(values)])
    receiver = site.receiver(ris.port)
    await receiver.attempt(ROUTE)
    control = ris.messages[0].first("ORC")
    assert control is not None
    assert (control.text(2), control.text(3)) == ("PL1", "F1")
    other = entry(2, "1.2.9.1", "1.2.9", "1.2.9.0", PatientID="P2", Modality="CT", AccessionNumber="A1")
    await site.index.apply([other])
    await receiver.attempt(replace(ROUTE, study_instance_uid="1.2.9"))
    control, patient = ris.messages[1].first("ORC"), ris.messages[1].first("PID")
    assert control is not None
    assert patient is not None
    assert (control.text(2), patient.text(3), patient.text(5)) == ("", "P2", "")


async def test_what_is_told_is_what_is_here_then(site: Site, ris: MllpReceiver) -> None:
    receiver = site.receiver(ris.port, link="https://pacs.example/v?s={study}")
    for kind in (AVAILABILITY, CHANGE, CORRECTION):
        assert (await receiver.attempt(replace(ROUTE, kind=kind))).is_done
    await hide(site)
    assert (await receiver.attempt(replace(ROUTE, kind=CHANGE))).is_done
    words = [statuses(message) for message in ris.messages]
    assert words == [("R", "O"), ("C", "C"), ("C", "C"), ("C", "D")]
    assert [len(message.all("OBX")) for message in ris.messages] == [2, 2, 2, 1]
    patient = ris.messages[-1].first("PID")
    assert patient is not None
    assert patient.text(5) == "Müller"
    for kind in (AVAILABILITY, CORRECTION):
        attempted = await receiver.attempt(replace(ROUTE, kind=kind))
        assert (attempted.is_done, attempted.taken, attempted.why) == (True, (), "nothing of it is left to tell")
    # Nobody knows whose study that was, so it fails where a person looks.
    attempted = await receiver.attempt(replace(ROUTE, kind=CHANGE, study_instance_uid="1.2.99"))
    assert (attempted.refused, "not even its patient" in attempted.why) == (True, True)
    attempted = await receiver.attempt(replace(ROUTE, kind=OBJECTS))
    assert (attempted.is_done, attempted.taken) == (True, ())
    assert len(ris.came) == 4


async def test_a_receiver_may_be_told_of_no_confidential_study(site: Site, ris: MllpReceiver) -> None:
    marked = entry(
        *(2, "1.2.9.1", "1.2.9", "1.2.9.0"), PatientID="P2", ConfidentialityConstraintOnPatientDataDescription="VIP"
    )
    await site.index.apply([marked])
    route = replace(ROUTE, study_instance_uid="1.2.9")
    attempted = await site.receiver(ris.port, confidential=False).attempt(route)
    assert (attempted.is_done, attempted.taken, "confidential" in attempted.why) == (True, (), True)
    assert (ris.came, site.sent) == ([], [])
    assert (await site.receiver(ris.port, confidential=False).attempt(ROUTE)).taken
    assert (await site.receiver(ris.port).attempt(route)).taken


async def test_a_receiver_gets_its_character_set_and_its_names(site: Site, ris: MllpReceiver) -> None:
    more = {"application": "RIS", "facility": "A|B", "sending_application": "PACS", "processing": "T"}
    await site.receiver(ris.port, charset="8859/1", **more).attempt(ROUTE)
    assert b"M\xfcller^J\xf6rg" in ris.came[0]
    header = ris.messages[0].header
    assert [header.text(n) for n in (3, 5, 6, 11, 18)] == ["PACS", "RIS", "A|B", "T", "8859/1"]


async def test_tls_is_mutual_and_names_the_host(site: Site, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca", "hospital")
    theirs, ours = authority.sign("ris"), authority.sign("gantry")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(theirs.certificate, theirs.key)
    tls.load_verify_locations(authority.ca)
    tls.verify_mode = ssl.CERT_REQUIRED
    files = {"ca_file": authority.ca, "cert_file": ours.certificate, "key_file": ours.key}
    async with mllp_receiver(tls=tls) as ris:
        assert (await site.receiver(ris.port, tls=True, **files).attempt(ROUTE)).is_done
        assert "gantry" in str(ris.certificates[0]["subject"])
        without = await site.receiver(ris.port, tls=True, ca_file=authority.ca).attempt(ROUTE)
        stranger = Authority(tmp_path / "other", "stranger").ca
        distrusted = await site.receiver(ris.port, tls=True, **(files | {"ca_file": stranger})).attempt(ROUTE)
        plain = await site.receiver(ris.port, response_timeout=0.5).attempt(ROUTE)
        for attempted in (without, distrusted, plain):
            assert (attempted.is_done, attempted.refused) == (False, False)
        assert len(ris.came) == 1
    broken = site.receiver(1, tls=True, cert_file=tmp_path / "none")
    with pytest.raises(ConfigError, match="RIS: its files cannot be used"):
        broken.check()
    assert "its files cannot be used" in (await broken.attempt(ROUTE)).why


PATIENT = "0123456789abcdef0123456789abcdef"


async def told_of_patient(site: Site, kind: str, values: Values, **more: Any) -> Attempted:
    """What comes of a route that is about the patient P1."""
    name = Receipt.at(1).id
    await write_values(
        site.objects, "default", name, CorrectionSubject(patient=PATIENT), values, PatientIdentity("P1").values
    )
    route = replace(ROUTE, kind=kind, study_instance_uid=PATIENT, values_key=Receipt(name).values_key("default"))
    return await site.receiver(**more).attempt(route)


async def test_receiver_is_told_what_a_patient_is_called_now(site: Site, ris: MllpReceiver) -> None:
    attempted = await told_of_patient(site, PATIENT_CORRECTION, {}, port=ris.port)
    assert (attempted.is_done, attempted.taken) == (True, (PATIENT,))
    (message,) = ris.messages
    patient = message.first("PID")
    assert patient is not None
    assert (message.kind, patient.text(3), patient.text(5)) == ("ADT^A08", "P1", "Müller")
    assert site.sent == [("", ("P1", ""), ("RIS", "127.0.0.1"), "t1", "", "HL7 ADT^A08")]


async def test_receiver_is_told_of_a_merge_also_into_one_that_has_another_id_by_now(
    site: Site, ris: MllpReceiver
) -> None:
    attempted = await told_of_patient(site, PATIENT_MERGE, PatientIdentity("P2", "HOSP").values, port=ris.port)
    assert attempted.is_done
    (message,) = ris.messages
    into, prior = message.first("PID"), message.first("MRG")
    assert into is not None
    assert prior is not None
    assert (message.kind, into.text(3), into.text(3, 4), prior.text(1)) == ("ADT^A40", "P2", "HOSP", "P1")


async def test_nothing_is_told_of_a_patient_who_is_gone_or_whom_an_earlier_release_did_not_name(
    site: Site, ris: MllpReceiver
) -> None:
    name = Receipt.at(1).id
    await write_values(site.objects, "default", name, CorrectionSubject(patient=PATIENT), {})
    key = Receipt(name).values_key("default")
    for values_key in (key, Receipt.at(2).values_key("default")):
        route = replace(ROUTE, kind=PATIENT_CORRECTION, study_instance_uid=PATIENT, values_key=values_key)
        attempted = await site.receiver(ris.port).attempt(route)
        assert (attempted.is_done, attempted.taken) == (True, ())
    assert (ris.came, site.sent) == ([], [])


async def test_patient_is_confidential_by_another_id_or_by_a_study_as_well(site: Site, ris: MllpReceiver) -> None:
    mark = {CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION: ["VIP"]}
    why = "the patient is confidential, and RIS is told of no such patient"
    into = PatientIdentity("P2").values
    # Another study of the patient says so itself.
    marked = entry(
        2,
        "1.2.3.9.1.1",
        "1.2.3.9",
        "1.2.3.9.1",
        PatientID="P2",
        ConfidentialityConstraintOnPatientDataDescription="VIP",
    )
    await site.index.apply([marked])
    assert (await told_of_patient(site, PATIENT_MERGE, into, port=ris.port, confidential=False)).why == why
    # The ID that was given up was marked.
    name = Receipt.at(7).id
    subject = CorrectionSubject(patient=PatientIdentity("P1").key)
    await write_values(site.objects, "default", name, subject, keys_as_attributes(mark))
    event = PatientCorrected("default", "t", PatientIdentity("P1").key, name, "x", "me", 7)
    await site.index.correct(await changes_of(site.objects, [event]))
    elsewhere = PatientIdentity("P5").values
    assert (await told_of_patient(site, PATIENT_MERGE, elsewhere, port=ris.port, confidential=False)).why == why
    assert ris.came == []
    assert (await told_of_patient(site, PATIENT_MERGE, elsewhere, port=ris.port, confidential=True)).is_done
    assert len(ris.came) == 1


async def test_merge_that_is_taken_back_is_not_told(site: Site, ris: MllpReceiver) -> None:
    values = {**PatientIdentity("P2").values, **keys_as_attributes({PATIENT_NAME: [{"Alphabetic": "Doe"}]})}
    attempted = await told_of_patient(site, PATIENT_CORRECTION, values, port=ris.port)
    assert (attempted.is_done, attempted.taken, ris.came) == (True, (), [])


async def test_receiver_may_be_told_of_no_confidential_patient(site: Site, ris: MllpReceiver) -> None:
    marked = keys_as_attributes({CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION: ["VIP"]})
    values = {**PatientIdentity("P2").values, **marked}
    attempted = await told_of_patient(site, PATIENT_MERGE, values, port=ris.port, confidential=False)
    assert (attempted.is_done, ris.came) == (True, [])
    assert attempted.why == "the patient is confidential, and RIS is told of no such patient"
