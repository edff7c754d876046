"""A message from its bytes to its answer, on real stores: what is promised, remembered, kept and logged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from gantry.common.adapters.files import open_file_store
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.clock import ManualClock, SystemClock
from gantry.common.config.hl7_sections import Hl7ProfileSettings
from gantry.common.errors import DependencyUnavailable
from gantry.common.events import Event, MessageAnswered, MessageDiscarded
from gantry.common.hl7.acknowledgement import AcknowledgementCode
from gantry.common.hl7.answers import Acknowledged, answer_in
from gantry.common.hl7.profiles import profile_of
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.orders import Order
from gantry.common.tasks import end_tasks
from gantry.services.corrections import CorrectionDesk
from gantry.services.orders.hl7.applying import Applier
from gantry.services.orders.hl7.correspondence import Correspondence, read_ledger
from gantry.services.orders.hl7.handler import MessageHandler
from tests.integration.services.orders.conftest import Process, Start
from tests.support.messages import ORDER, PATIENT, PROCEDURE, message, order, patient, segment

PROFILES = [profile_of(Hl7ProfileSettings(sender="RIS", authorities=("HOSP",)))]
DAY = 24 * 3600.0


@dataclass(slots=True)
class Site:
    """One process that answers messages."""

    process: Process
    handler: MessageHandler
    correspondence: Correspondence
    clock: ManualClock
    following: asyncio.Task[None]

    async def tell(self, raw: bytes) -> Acknowledged:
        return answer_in(await self.handler(raw))

    async def order(self, key: str = "A100") -> Order | None:
        row = await self.process.orders.order(DEFAULT_PARTITION, key)
        return None if row is None else row[0]

    def count(self, name: str, **labels: str) -> float:
        return self.process.metrics.registry.get_sample_value(f"gantry_{name}", labels) or 0.0


@pytest.fixture
async def make(start: Start, tmp_path: Path) -> AsyncIterator[object]:
    objects = await open_file_store(tmp_path / "objects")
    index = await open_sqlite_index(tmp_path / "index.db")
    made: list[Site] = []

    async def one(deadline: float = 5.0, clock: ManualClock | None = None) -> Site:
        process, clock = await start(), clock or ManualClock()
        correspondence = Correspondence(process.log, clock, DAY)
        following = asyncio.create_task(correspondence.run())
        await correspondence.caught_up()
        desk = CorrectionDesk(objects, process.log, index, SystemClock())
        applier = Applier(process.desk, process.orders, desk)
        handler = MessageHandler(PROFILES, applier, correspondence, clock, process.metrics, deadline)
        made.append(Site(process, handler, correspondence, clock, following))
        return made[-1]

    yield one
    for site in made:
        await end_tasks(site.following)
    await index.close()
    await objects.close()


@pytest.fixture
async def site(make: object) -> Site:
    return await make()  # type: ignore[operator, no-any-return]


async def test_an_accepted_message_is_applied_when_its_answer_comes_and_counted(site: Site) -> None:
    answer = await site.tell(order())
    assert (answer.code, answer.control_id, answer.text) == ("AA", "MSG1", "order placed")
    assert await site.order() is not None
    assert site.count("hl7_messages_total", kind="ORM^O01", code="AA") == 1
    assert site.count("hl7_seconds_count") == 1


async def test_a_repetition_gets_the_very_same_answer_until_it_is_forgotten(site: Site, make: object) -> None:
    first = await site.handler(order())
    assert await site.handler(order()) == first
    # Another process, and this one after a restart, have it from the log.
    other = await make(clock=site.clock)  # type: ignore[operator]
    assert await other.handler(order()) == first
    assert len(await site.process.orders.history(DEFAULT_PARTITION, "A100")) == 1
    site.clock.advance(DAY + 1)
    assert await site.handler(order()) != first


async def test_other_bytes_under_an_accepted_control_id_are_rejected_and_not_kept(site: Site) -> None:
    await site.tell(order())
    answer = await site.tell(order(obr={18: "A2"}))
    assert (answer.code, answer.problems[0][-5:]) == ("AR", "(205)")
    assert await site.order("A2") is None
    assert (await read_ledger(site.process.log)).all() == []


async def test_a_refused_message_waits_and_its_repetition_is_tried_anew(site: Site) -> None:
    change = order("XO", control_id="EARLY")
    for _ in range(2):
        site.clock.advance(1)
        assert (await site.tell(change)).code == "AE"
    (waiting,) = (await read_ledger(site.process.log)).open()
    assert (waiting.control_id, waiting.times, waiting.problems) == ("EARLY", 2, ("ORC: there is no such order",))
    assert (await site.tell(order())).code == "AA"
    assert (await site.tell(change)).text == "order changed"
    assert (await read_ledger(site.process.log)).open() == []
    assert site.count("hl7_quarantined_total") == 2


async def test_a_repaired_message_may_have_the_control_id_of_the_one_that_was_refused(site: Site) -> None:
    assert (await site.tell(order(obr={18: "A" * 17}))).code == "AE"
    assert (await site.tell(order())).code == "AA"
    assert [line.state for line in (await read_ledger(site.process.log)).all()] == ["applied"]


async def test_while_the_log_is_away_a_message_is_rejected_for_now_and_may_come_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*events: Event) -> None:
        raise DependencyUnavailable("event log", "away")

    with monkeypatch.context() as patched:
        patched.setattr(site.process.log, "append", away)
        for raw in (order(), order("HD", control_id="BAD")):
            answer = await site.tell(raw)
            assert (answer.code, answer.problems) == ("AR", ("the archive cannot take it now: send it again (207)",))
    assert (await site.tell(order())).code == "AA"
    assert (await read_ledger(site.process.log)).all() == []


async def test_a_message_that_takes_too_long_is_rejected_for_now(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    site = await make(deadline=0.1)  # type: ignore[operator]

    async def stuck(*events: Event) -> None:
        await asyncio.sleep(5)

    with monkeypatch.context() as patched:
        patched.setattr(site.process.log, "append", stuck)
        assert (await site.tell(order())).code == "AR"
    assert (await site.tell(order())).code == "AA"


async def test_a_mistake_of_ours_is_an_error_of_one_message(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(command: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(type(site.process.desk), "place", lambda self, command: broken(command))
        answer = await site.tell(order())
    assert (answer.code, answer.problems[0][-5:]) == ("AE", "(207)")
    assert len((await read_ledger(site.process.log)).open()) == 1
    assert (await site.tell(order())).code == "AA"


async def test_orders_of_a_message_that_is_refused_half_done_are_whole_when_it_comes_again(site: Site) -> None:
    new = (segment("ORC", {1: "NW", **ORDER}), segment("OBR", PROCEDURE))
    change = (segment("ORC", {1: "XO", **ORDER}), segment("OBR", {**PROCEDURE, 18: "A200"}))
    raw = message("ORM^O01", segment("PID", PATIENT), *new, *change, control_id="BOTH")
    assert (await site.tell(raw)).code == "AE"
    assert await site.order() is not None
    assert (await site.tell(order(control_id="OTHER", obr={18: "A200"}))).code == "AA"
    # What was changed since the first try stays.
    later = order("XO", control_id="LATER", obr={4: "CTN^CT of the neck^LOCAL"})
    assert (await site.tell(later)).code == "AA"
    assert (await site.tell(raw)).text == "done before; order changed"
    entry = await site.order()
    assert entry is not None
    assert entry.attributes[0x00321060] == ["CT of the neck"]


async def test_enhanced_mode_gets_what_it_asks_for_also_when_the_message_is_repeated(site: Site) -> None:
    quiet = order(control_id="QUIET", extra={15: "NE", 16: "NE"})
    assert await site.handler(quiet) == b""
    assert await site.order() is not None
    both = await site.handler(order(control_id="BOTH", extra={15: "AL", 16: "AL"}))
    assert both.index(b"MSA|CA") < both.index(b"MSA|AA")
    assert await site.handler(order(control_id="BOTH", extra={15: "AL", 16: "AL"})) == both


HOSTILE = [
    b"",
    b"\x00" * 100,
    b"MSH",
    b"MSH|^~\\&|",
    b"MSH|^~\\&|RIS|H||||||1|P|2.5",
    order().replace(b"UNICODE UTF-8", b"UNICODE UTF-16"),
    order().replace(b"J\xc3\x96RG", b"J\xd6RG"),
    order(pid={5: "<script>alert(1)</script>^'; DROP TABLE orders; --"}),
    order(pid={5: "\u202eGNP.EXE^\u0000X"}),
    order(pid={5: "A" * 100_000}),
    order(pid={3: "../../etc/passwd^^^..\\..\\x"}),
    order(obr={18: "../../x"}),
    order(obr={4: "\\X0D0A\\^\\.sp99999999\\^" + "\\E\\" * 1000}),
    order(more=("ZDS|1..2",)),
    order(more=("^" * 50_000,)),
    order(more=("NTE|" + "|" * 200_000, "NTE|" + "~^&" * 100_000)),
    order(pid={3: "~".join(f"{number}^^^HOSP" for number in range(20_000))}),
    message("ORM^O01", *["ORC|NW"] * 4000),
    patient("A40", mrg={1: "~" * 100_000}),
    b"FHS|^~\\&|X\rBHS|^~\\&|X\r" + order(),
    order() + order(),
]


@pytest.mark.parametrize("raw", HOSTILE, ids=range(len(HOSTILE)))
async def test_whatever_comes_is_answered_soon_and_the_next_message_is_taken(site: Site, raw: bytes) -> None:
    begun = asyncio.get_running_loop().time()
    with structlog.testing.capture_logs() as logged:
        answer = await site.tell(raw)
    assert asyncio.get_running_loop().time() - begun < 3
    assert answer.code in {"AA", "AE", "AR"}
    assert not [line for line in logged if line["log_level"] == "error"]
    assert (await site.tell(order(control_id="NEXT", obr={18: "A9"}))).code == "AA"


@pytest.mark.parametrize(
    "raw",
    [
        order(),
        order("HD"),
        order(pid={7: "SECRETDATE"}),
        order(pid={5: "SECRET^NAME=X\\S\\"}),
        order(obr={18: "SECRET" * 5}),
        patient("A08"),
        patient("A40", mrg={1: "SECRET^^^EVIL"}),
        order().replace(b"J\xc3\x96RG", b"SECRET\xd6"),
        b"MSH|SECRET",
    ],
)
async def test_no_log_line_and_no_answer_has_anything_of_a_patient(site: Site, raw: bytes) -> None:
    with structlog.testing.capture_logs() as logged:
        reply = await site.handler(raw)
    assert logged
    for secret in ("SECRET", "MÜLLER", "4711", "1970"):
        assert secret not in str(logged)
        assert secret.encode() not in reply


async def test_what_is_discarded_stays_so(site: Site) -> None:
    await site.tell(order("HD"))
    ledger = await read_ledger(site.process.log)
    (waiting,) = ledger.open()
    key = waiting.source, waiting.control_id, ledger.digest(waiting.id)
    await site.correspondence.note(MessageDiscarded(DEFAULT_PARTITION, "", *key, "a test", "ann", 1))
    ledger = await read_ledger(site.process.log)
    assert ([line.state for line in ledger.all()], ledger.text(waiting.id)) == (["discarded"], order("HD"))


async def test_what_is_noted_is_known_before_the_log_is_followed(site: Site) -> None:
    behind = Correspondence(site.process.log, site.clock, DAY)
    now = site.clock.now_us()
    await behind.note(MessageAnswered(DEFAULT_PARTITION, "", "RIS^HOSPITAL", "OURS", "d", "ORM^O01", b"x", now))
    assert behind.ledger.answer("RIS^HOSPITAL", "OURS", now) is not None


async def test_answers_of_others_are_followed_while_the_log_comes_and_goes(site: Site) -> None:
    event = MessageAnswered(DEFAULT_PARTITION, "", "RIS^HOSPITAL", "THEIRS", "d", "ORM^O01", b"x", site.clock.now_us())
    await site.process.log.append(event)
    async with asyncio.timeout(5):
        while site.correspondence.ledger.answer("RIS^HOSPITAL", "THEIRS", 0) is None:
            await asyncio.sleep(0.01)
    answer = await site.tell(order(control_id="THEIRS"))
    assert answer.code == AcknowledgementCode.REJECT
