"""BAD_INPUTS.md, rows 21, 22 and 25: questions that ask too much or nothing, and destinations that do not take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gantry.cli.commit import ask
from gantry.cli.identifiers import BOTH, encode, identifier
from gantry.cli.retrieve import FolderService
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, VERIFICATION
from gantry.common.dimse import Command, Element
from gantry.common.ids import new_uid
from gantry.common.net import MemorySink, Request, Server, Sink, connect, scu
from gantry.common.ul import Ability, AssociateReject, AssociateRequest, RoleSelection
from tests.conformance.conftest import Target
from tests.support.asking import Modality, find, find_matches, wait_for
from tests.support.elements import CT, element, even, implicit
from tests.support.network import OpenDoor, Silence
from tests.support.objects import bytes_of, study
from tests.support.wire import EXPLICIT

_COUNT = 120


@pytest.fixture(scope="module")
def stored(target: Target, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A study of many small instances; its UID."""
    files = study(tmp_path_factory.mktemp("files"), _COUNT, size=16)

    async def store() -> str:
        modality = Modality(target.peer, files, window=8)
        await modality.send_all()
        await wait_for(target, _COUNT)
        return str((await find_matches(target.peer, "STUDY"))[0].StudyInstanceUID)

    return asyncio.run(store())


# ---- row 21


def level(name: str) -> bytes:
    return element(0x00080052, b"CS", even(name))


def study_uids(*uids: str) -> bytes:
    # Explicit VR lengths end at 64 KiB: as UN, which PS3.5 6.2.2 allows.
    return element(0x0020000D, b"UN", even("\\".join(uids), b"\0"))


def name(value: str | bytes) -> bytes:
    return element(0x00100010, b"PN", even(value))


_PENDING_OR = {
    "all wildcards": (level("STUDY") + name("*"), 0x0000, True),
    "500 question marks": (level("STUDY") + name("?" * 500), 0x0000, False),
    "500 stars": (level("STUDY") + name("*" * 500), 0x0000, True),
    "stars and question marks": (level("STUDY") + name("*?" * 400 + "*"), 0x0000, False),
    "a pattern that backtracks": (level("STUDY") + name("*a" * 200 + "b"), 0x0000, False),
    "a pattern beyond reason": (level("STUDY") + name("*" + "x" * 60_000), 0xC000, False),
    "regular expressions": (level("STUDY") + name("(Doe|.*)+$[^"), 0x0000, False),
    "SQL patterns": (level("STUDY") + name("%_%"), 0x0000, False),
    "SQL": (level("STUDY") + name("' OR 1=1 --"), 0x0000, False),
    "brackets with a star": (level("STUDY") + name("[D]*"), 0x0000, False),
    "10,000 UIDs": (level("STUDY") + study_uids(*(f"1.2.{n}" for n in range(10_000))), 0x0000, False),
    "100,000 UIDs": (level("STUDY") + study_uids(*(f"1.2.{n}" for n in range(100_000))), 0xA700, False),
    "a UID that is none": (level("STUDY") + study_uids("../../x"), 0xC000, False),
    "a range the wrong way round": (element(0x00080020, b"DA", b"99991231-00010101 ") + level("STUDY"), None, False),
    "a range of everything": (element(0x00080020, b"DA", b"00010101-99991231 ") + level("STUDY"), 0x0000, True),
    "a range of nonsense": (element(0x00080020, b"DA", b"yesterday-now ") + level("STUDY"), 0xC000, False),
    "an unknown level": (level("GALAXY"), 0xA900, False),
    "a level of another model": (level("PATIENT"), 0xA900, False),
    "two levels": (level("STUDY\\SERIES"), 0xA900, False),
    "no level": (name("Doe*"), 0xA900, False),
    "no key": (level("STUDY"), 0x0000, True),
    "no identifier": (b"", 0xA900, False),
    "IMAGE without study and series": (level("IMAGE"), 0xA900, False),
    "a wildcard for the study above": (level("SERIES") + study_uids("*"), 0xA900, False),
    "junk": (b"\xff" * 300, 0xC000, False),
    "an element cut off": (level("STUDY") + element(0x00100010, b"PN", b"x", length=900), 0xC000, False),
    "invalid UTF-8": (
        element(0x00080005, b"CS", b"ISO_IR 192") + level("STUDY") + name(b"\xff\xfe\xc3("),
        0x0000,
        False,
    ),
    "a character set that is none": (element(0x00080005, b"CS", b"NONE") + level("STUDY") + name("Doe*"), None, None),
    "a deep sequence": (
        level("STUDY") + element(0x00400100, b"SQ", implicit(0xFFFEE000, b"") * 50_000),
        None,
        None,
    ),
}


@pytest.mark.parametrize("case", _PENDING_OR, ids=lambda case: f"row 21: {case}")
async def test_a_question_that_is_odd_gets_an_answer(target: Target, stored: str, case: str) -> None:
    data, status, matches = _PENDING_OR[case]
    async with connect(target.peer, [(STUDY_ROOT_FIND, (EXPLICIT,))]) as association:
        answers = [answer async for answer, _ in scu.find(association, STUDY_ROOT_FIND, data, timeout=30)]
        # The association is of use for the next question.
        good = encode(identifier("STUDY", [f"StudyInstanceUID={stored}"]), association.contexts[1])
        again = [answer async for answer, _ in scu.find(association, STUDY_ROOT_FIND, good, timeout=30)]
    final = answers[-1]
    expected = {0x0000, 0xA700, 0xA900, 0xC000} if status is None else {status}
    assert final.status in expected, final.text(Element.ERROR_COMMENT)
    if matches is not None:
        assert (len(answers) > 1) is matches
    assert len(final.text(Element.ERROR_COMMENT)) <= 64
    assert [answer.status for answer in again] == [0xFF00, 0x0000]


async def test_row_21_a_cancel_ends_the_answers(target: Target, stored: str) -> None:
    (series,) = await find_matches(target.peer, "SERIES", f"StudyInstanceUID={stored}")
    keys = [f"StudyInstanceUID={stored}", f"SeriesInstanceUID={series.SeriesInstanceUID}", "SOPInstanceUID"]
    async with connect(target.peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
        context = scu.need_context(association, STUDY_ROOT_FIND)
        query = encode(identifier("IMAGE", keys), context)
        statuses = []
        for _ in range(5):
            # The request and its cancel go out together.
            answers = scu.find(association, STUDY_ROOT_FIND, query, timeout=30)
            first = asyncio.ensure_future(anext(answers))
            await asyncio.sleep(0)
            await association.cancel(context.id, association.next_message_id() - 1)
            statuses.append([(await first)[0].status, *[answer.status async for answer, _ in answers]])
        assert any(got[-1] == 0xFE00 for got in statuses), [got[-1] for got in statuses]
        for got in statuses:
            assert got[-1] in (0xFE00, 0x0000)
            assert set(got[:-1]) <= {0xFF00}
            assert got[-1] == 0xFE00 or len(got) == _COUNT + 1
    # A cancel of nothing is nothing.
    async with connect(target.peer, [(STUDY_ROOT_FIND, BOTH), (VERIFICATION, BOTH)]) as association:
        await association.cancel(1, 4711)
        assert await scu.echo(association) == 0x0000


# ---- row 22


async def move(target: Target, stored: str, destination: str = "DEST") -> list[Command]:
    """The responses of a C-MOVE of the great study."""
    async with connect(target.peer, [(STUDY_ROOT_MOVE, BOTH)]) as association:
        context = scu.need_context(association, STUDY_ROOT_MOVE)
        query = encode(identifier("STUDY", [f"StudyInstanceUID={stored}"]), context)
        return [answer async for answer, _ in scu.move(association, STUDY_ROOT_MOVE, query, destination)]


def counts(command: Command) -> tuple[int, int, int]:
    return (
        command.number(Element.COMPLETED_SUB_OPERATIONS),
        command.number(Element.FAILED_SUB_OPERATIONS),
        command.number(Element.WARNING_SUB_OPERATIONS),
    )


@pytest.mark.parametrize("title", ["NOBODY", "", "../../x", "127.0.0.1", "A" * 60])
async def test_row_22_a_destination_that_is_not_configured_is_a801(target: Target, stored: str, title: str) -> None:
    (final,) = await move(target, stored, title)
    assert final.status == 0xA801


async def test_row_22_a_destination_that_is_down_is_told_with_counts(target: Target, stored: str) -> None:
    final = (await move(target, stored))[-1]
    assert (final.status, counts(final)) == (0xA702, (0, _COUNT, 0))
    assert "Connection refused" in final.text(Element.ERROR_COMMENT)


class ClosedDoor:
    """Rejects everybody."""

    def admit(self, request: AssociateRequest, peer_address: str, tls: bool) -> AssociateReject:
        return AssociateReject(1, 1, 3)


class Refusing:
    """A storage SCP that answers what `status` says of the nth object."""

    def __init__(self, status: Callable[[int], int]) -> None:
        self.abilities = {CT: Ability()}
        self.asked = 0
        self._status = status

    def receive(self, request: Request) -> Sink:
        return MemorySink()

    async def perform(self, request: Request) -> None:
        self.asked += 1
        await request.respond(self._status(self.asked))


@asynccontextmanager
async def destination(target: Target, service: object, door: object) -> AsyncIterator[None]:
    server = Server([service], door, Silence())  # type: ignore[list-item, arg-type]
    await server.start("127.0.0.1", target.destination_port)
    try:
        yield
    finally:
        await server.drain(1.0)


async def test_row_22_a_destination_that_rejects_us_is_told_with_counts(target: Target, stored: str) -> None:
    async with destination(target, Refusing(lambda _: 0), ClosedDoor()):
        final = (await move(target, stored))[-1]
    assert (final.status, counts(final)) == (0xA702, (0, _COUNT, 0))


async def test_row_22_a_destination_that_refuses_some_is_told_with_counts(target: Target, stored: str) -> None:
    def status(count: int) -> int:
        return {0: 0x0000, 1: 0xC123, 2: 0xB000}[count % 3]

    async with destination(target, Refusing(status), OpenDoor()):
        final = (await move(target, stored))[-1]
    assert (final.status, counts(final)) == (0xB000, (_COUNT // 3, _COUNT // 3, _COUNT // 3))


async def test_row_22_a_destination_that_is_full_for_a_moment_gets_everything(target: Target, stored: str) -> None:
    service = Refusing(lambda count: 0xA700 if count < 20 else 0x0000)
    async with destination(target, service, OpenDoor()):
        final = (await move(target, stored))[-1]
    assert (final.status, counts(final)) == (0x0000, (_COUNT, 0, 0))


@pytest.mark.parametrize("when", ["at once", "after the request", "silent"])
async def test_row_22_a_destination_that_hangs_up_is_told_with_counts(target: Target, stored: str, when: str) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if when != "at once":
            await reader.read(10)
        if when == "silent":
            await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", target.destination_port)
    try:
        begun = asyncio.create_task(move(target, stored))
        # Others are served meanwhile.
        assert len(await find_matches(target.peer, "STUDY", f"StudyInstanceUID={stored}")) == 1
        final = (await begun)[-1]
    finally:
        server.close()
    assert (final.status, counts(final)) == (0xA702, (0, _COUNT, 0))


async def test_row_22_a_destination_that_resets_in_the_middle_gets_the_rest_again(
    target: Target, stored: str, tmp_path: Path
) -> None:
    taken = FolderService(tmp_path, [CT])

    class Breaking:
        abilities = taken.abilities
        left = 50

        def receive(self, request: Request) -> Sink:
            return taken.receive(request)

        async def perform(self, request: Request) -> None:
            self.left -= 1
            if self.left == 0:
                request.association.connection.abort_transport()
                return
            await taken.perform(request)

    async with destination(target, Breaking(), OpenDoor()):
        final = (await move(target, stored))[-1]
    assert (final.status, counts(final)) == (0x0000, (_COUNT, 0, 0))
    assert len(set(taken.received)) == _COUNT


async def get(
    target: Target, stored: str, service: object, cancel_at: int = 0
) -> tuple[list[Command], list[tuple[Command, bytes]]]:
    """All responses of a C-GET of the great study; a C-CANCEL is sent at the nth pending one."""
    roles = [RoleSelection(CT, False, True)]
    contexts = [(CT, (EXPLICIT,)), (STUDY_ROOT_GET, BOTH)]
    answers: list[tuple[Command, bytes]] = []
    async with connect(target.peer, contexts, roles=roles, services=[service]) as association:  # type: ignore[list-item]
        context = scu.need_context(association, STUDY_ROOT_GET)
        query = encode(identifier("STUDY", [f"StudyInstanceUID={stored}"]), context)
        async for answer, data in scu.get(association, STUDY_ROOT_GET, query, timeout=60):
            answers.append((answer, data))
            if len(answers) == cancel_at:
                await association.cancel(context.id, answer.responds_to)
    return [answer for answer, _ in answers], answers


async def test_row_22_a_requestor_that_refuses_every_object_is_told_all_of_them(target: Target, stored: str) -> None:
    _, answers = await get(target, stored, Refusing(lambda _: 0xA700))
    final, failed = answers[-1]
    assert (final.status, counts(final)) == (0xA702, (0, _COUNT, 0))
    # Failed SOP Instance UID List (0008,0058).
    assert failed[:4] == b"\x08\0\x58\0"
    assert failed.count(b"\\") == _COUNT - 1


async def test_row_22_a_get_that_is_cancelled_stops(target: Target, stored: str) -> None:
    service = Refusing(lambda _: 0x0000)
    statuses, _ = await get(target, stored, service, cancel_at=1)
    final = statuses[-1]
    assert final.status == 0xFE00
    remaining = final.number(Element.REMAINING_SUB_OPERATIONS)
    assert (counts(final), remaining) == ((service.asked, 0, 0), _COUNT - service.asked)
    assert 0 < service.asked < _COUNT


async def test_row_22_a_requestor_that_goes_away_in_the_middle_costs_nobody(target: Target, stored: str) -> None:
    class Leaving(Refusing):
        async def perform(self, request: Request) -> None:
            request.association.connection.abort_transport()

    with pytest.raises(Exception, match=r"association|connection"):
        await get(target, stored, Leaving(lambda _: 0))


async def test_row_22_what_names_no_objects_retrieves_none(target: Target, stored: str) -> None:
    for query, status in (
        (level("STUDY") + study_uids(new_uid()), 0x0000),
        (level("STUDY"), 0xA900),
        (level("STUDY") + study_uids("*"), 0xA900),
        (level("PATIENT"), 0xA900),
        (b"\xff" * 100, 0xC000),
    ):
        async with connect(target.peer, [(STUDY_ROOT_MOVE, (EXPLICIT,))]) as association:
            answers = [a async for a, _ in scu.move(association, STUDY_ROOT_MOVE, query, "DEST", timeout=30)]
        assert answers[-1].status == status, query[:40]
        assert counts(answers[-1]) == (0, 0, 0)


# ---- row 25


async def test_row_25_commitment_tells_what_is_kept_and_what_is_not(target: Target, tmp_path: Path) -> None:
    files = study(tmp_path, 3)
    await Modality(target.peer, files).send_all()
    references = [(file.sop_class_uid, file.sop_instance_uid) for file in files]
    strange = [(CT, new_uid()), ("1.2.840.10008.5.1.4.1.1.4", files[0].sop_instance_uid)]
    status, _, report = await ask(target.peer, references[1:] + strange, wait=30, timeout=30)
    assert status == 0x0000
    assert report is not None
    assert {item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence} == {
        uid for _, uid in references[1:]
    }
    reasons = {item.ReferencedSOPInstanceUID: item.FailureReason for item in report.FailedSOPSequence}
    assert reasons == {strange[0][1]: 0x0112, strange[1][1]: 0x0119}


async def test_row_25_an_object_whose_bytes_have_changed_is_not_committed(target: Target, tmp_path: Path) -> None:
    (file,) = study(tmp_path, 1)
    await Modality(target.peer, [file]).send_all()
    for path in (target.folder / "data" / "objects").rglob("*.dcm"):
        whole = path.read_bytes()
        if whole.endswith(bytes_of(file)):
            path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    status, _, report = await ask(target.peer, [(file.sop_class_uid, file.sop_instance_uid)], wait=30, timeout=30)
    assert status == 0x0000
    assert report is not None
    assert not report.get("ReferencedSOPSequence")
    assert [item.FailureReason for item in report.FailedSOPSequence] == [0x0110]


async def test_row_25_a_request_that_names_ten_thousand_is_answered(target: Target) -> None:
    references = [(CT, f"1.2.{n}") for n in range(10_000)]
    status, _, report = await ask(target.peer, references, wait=60, timeout=60)
    assert status == 0x0000
    assert report is not None
    assert len(report.FailedSOPSequence) == 10_000


async def test_unknown_keys_are_left_out_and_said_so(target: Target, stored: str) -> None:
    matches, status = await find(target.peer, "STUDY", [f"StudyInstanceUID={stored}", "0018,0050"])
    assert (len(matches), status) == (1, 0x0000)
