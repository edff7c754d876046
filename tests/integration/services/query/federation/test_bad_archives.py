"""Queries that span archives which do not behave: our own answer comes anyway, in time, with a warning."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydicom.dataset import Dataset

from gantry.common.access import NOTHING, Sight, restricted, role_table
from gantry.common.adapters.sqlite import open_sqlite_index
from gantry.common.config.federation_sections import FederatedArchiveSettings
from gantry.common.dicom.standard.sop_classes import PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from gantry.common.dimse import Element
from gantry.common.net import MemorySink, Peer, Request, Server, Sink, connect
from gantry.common.net.scu import find
from gantry.common.runtime.restricted_index import RestrictedIndex
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Ability
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.server import WebServer
from gantry.services.process.association_log import NetworkObserver
from gantry.services.query.app import build_services, build_web
from gantry.services.query.federation.asking import Federation
from tests.support.dicom import EXPLICIT, from_bytes, to_bytes
from tests.support.entries import entry

Behaviour = Callable[[Request], Awaitable[None]]
DEADLINE = 1.0


class Everyone:
    def admit(self, request: object, peer_address: str, tls: bool, certificate: str) -> None:
        return None


@dataclass
class Archive:
    """Another archive, which does with a C-FIND what it is told to."""

    behave: Behaviour
    asked: list[Dataset] = field(default_factory=list)
    abilities: Any = field(
        default_factory=lambda: {STUDY_ROOT_FIND: Ability(frozenset((EXPLICIT,)), preferred=(EXPLICIT,))}
    )

    def receive(self, request: Request) -> Sink:
        return MemorySink(1 << 20)

    async def perform(self, request: Request) -> None:
        self.asked.append(from_bytes(request.data, EXPLICIT))
        await self.behave(request)


def match(uid: str, **keys: Any) -> bytes:
    answer = Dataset()
    answer.QueryRetrieveLevel, answer.StudyInstanceUID, answer.PatientID = "STUDY", uid, "P1"
    for keyword, value in keys.items():
        setattr(answer, keyword, value)
    return to_bytes(answer, EXPLICIT)


def answering(*matches: bytes, status: int = 0) -> Behaviour:
    async def behave(request: Request) -> None:
        await request.respond_pending(list(matches), 0xFF00)
        await request.respond(status)

    return behave


async def says_nothing_more(request: Request) -> None:
    await request.respond_pending([match("1.77")], 0xFF00)
    await asyncio.sleep(30)


async def is_silent(request: Request) -> None:
    await asyncio.sleep(30)


async def aborts(request: Request) -> None:
    request.association.abort("a test")


@dataclass
class Policy:
    ports: dict[str, int]

    def contact(self, ae_title: str, ours: str) -> Peer | None:
        port = self.ports.get(ae_title)
        return None if port is None else Peer("127.0.0.1", port, ae_title, ours)

    def is_federated(self, ae_title: str) -> bool:
        return ae_title != "PLAIN"


@dataclass
class Site:
    port: int
    http: aiohttp.ClientSession
    metrics: Metrics
    federation: Federation

    async def ask(self, calling: str = "VIEWER", **keys: Any) -> tuple[list[Dataset], set[int], str]:
        """Matches, statuses of pending responses, and the final Error Comment."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel, identifier.PatientName, identifier.InstanceAvailability = "STUDY", "", ""
        for keyword, value in {"PatientID": "P1", **keys}.items():
            setattr(identifier, keyword, value)
        answers, pending, comment = [], set(), ""
        peer = Peer("127.0.0.1", self.port, "GANTRY", calling)
        async with connect(peer, [(PATIENT_ROOT_FIND, (EXPLICIT,))]) as association:
            async for command, data in find(association, PATIENT_ROOT_FIND, to_bytes(identifier, EXPLICIT)):
                if data:
                    answers.append(from_bytes(data, EXPLICIT))
                    pending.add(command.status)
                else:
                    assert command.status == 0
                    comment = str(command.elements.get(Element.ERROR_COMMENT, ""))
        return answers, pending, comment

    def counted(self, title: str, outcome: str) -> float:
        name = "gantry_federated_questions_total"
        return self.metrics.registry.get_sample_value(name, {"ae_title": title, "outcome": outcome}) or 0.0


@asynccontextmanager
async def site(
    folder: Path, ports: dict[str, int], access: AccessControl | None = None, **limits: int
) -> AsyncIterator[Site]:
    index, metrics = await open_sqlite_index(folder / "index.db"), Metrics()
    await index.apply([entry(n, f"1.9.{n}", f"1.{n}", f"1.{n}.1", PatientID="P1") for n in (1, 2)])
    archives = [FederatedArchiveSettings(ae_title=title, deadline=DEADLINE) for title in ports]
    federation = Federation(archives, Policy(ports), "GANTRY", metrics, **limits)
    services = build_services(RestrictedIndex(index), "GANTRY", metrics, federation=federation)
    server = Server(services, Everyone(), NetworkObserver(metrics, "query"))
    web = WebServer("127.0.0.1", 0, {}, access or AccessControl(Tokens(None)))
    try:
        port = await server.start("127.0.0.1", 0)
        web.serve(build_web(RestrictedIndex(index), None, federation=federation))
        await web.start()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{web.port}") as http:
            yield Site(port, http, metrics, federation)
    finally:
        await server.drain(1.0)
        await web.close()
        await index.close()


@asynccontextmanager
async def archive(behave: Behaviour) -> AsyncIterator[tuple[Archive, int]]:
    remote = Archive(behave)
    server = Server([remote], Everyone(), NetworkObserver(Metrics(), "query"))
    try:
        yield remote, await server.start("127.0.0.1", 0)
    finally:
        await server.drain(0.1)


@asynccontextmanager
async def listener(says: bytes) -> AsyncIterator[int]:
    """Something that is no archive: it takes connections, and says this or, without words, nothing."""

    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(taken, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def uids(answers: list[Dataset]) -> list[str]:
    return [str(answer.StudyInstanceUID) for answer in answers]


async def test_answers_are_merged_with_who_has_each_study(tmp_path: Path) -> None:
    both = answering(match("1.2", PatientName="THEIRS"), match("1.50", PatientName="Doe^J"), match("1.50"))
    async with archive(both) as (_, old), archive(answering(match("1.50"))) as (_, north):
        async with site(tmp_path, {"OLD": old, "NORTH": north}) as ours:
            answers, pending, comment = await ours.ask()
            assert [
                (answer.StudyInstanceUID, answer.RetrieveAETitle, answer.InstanceAvailability) for answer in answers
            ] == [
                ("1.1", "GANTRY", "ONLINE"),
                ("1.2", ["GANTRY", "OLD"], "ONLINE"),
                ("1.50", ["NORTH", "OLD"], "NEARLINE"),
            ]
            assert (answers[1].PatientName or "", pending, comment) == ("", {0xFF00}, "")
            assert (ours.counted("OLD", "answered"), ours.counted("NORTH", "answered")) == (1, 1)


async def test_one_that_ignores_keys_is_matched_again_and_what_we_know_better_is_ours(tmp_path: Path) -> None:
    stranger = match("1.60", PatientID="P12")
    async with archive(answering(stranger, match("1.50"), match("1.1", PatientID="P9"))) as (remote, port):
        async with site(tmp_path, {"OLD": port}) as ours:
            assert uids((await ours.ask())[0]) == ["1.1", "1.2", "1.50"]
            # 1.1 is P1's here: that it is P9's there is not for them to say.
            assert uids((await ours.ask(PatientID="P9"))[0]) == []
            assert [request.PatientID for request in remote.asked] == ["P1", "P9"]


@pytest.mark.parametrize(
    ("behave", "outcome", "seen"),
    [
        (is_silent, "slow", []),
        (says_nothing_more, "slow", ["1.77"]),
        (aborts, "away", []),
        (answering(match("1.77"), status=0xA700), "refused", ["1.77"]),
        (answering(b"\xff" * 40, match("no uid"), match("1.77")), "nonsense", ["1.77"]),
        (answering(*[match(f"1.77.{n}") for n in range(3000)]), "more", [f"1.77.{n}" for n in range(100)]),
    ],
    ids=["silent", "stops", "aborts", "fails", "rubbish", "thousands"],
)
async def test_ours_comes_anyway_with_a_warning(
    behave: Behaviour, outcome: str, seen: list[str], tmp_path: Path
) -> None:
    async with archive(behave) as (_, port), site(tmp_path, {"OLD": port}, most_answers=100) as ours:
        async with asyncio.timeout(DEADLINE + 3):
            answers, pending, comment = await ours.ask()
        assert uids(answers) == ["1.1", "1.2", *sorted(seen)]
        assert pending == {0xFF01}
        assert comment == "no or not all answers of OLD"
        assert ours.counted("OLD", outcome) == 1


@pytest.mark.parametrize(("says", "outcome"), [(b"", "slow"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "away")])
async def test_something_that_is_no_archive_costs_its_deadline_at_most(
    says: bytes, outcome: str, tmp_path: Path
) -> None:
    async with listener(says) as port, site(tmp_path, {"OLD": port}) as ours:
        async with asyncio.timeout(DEADLINE + 3):
            answers, _, comment = await ours.ask()
        assert (uids(answers), comment) == (["1.1", "1.2"], "no or not all answers of OLD")
        assert ours.counted("OLD", outcome) == 1


async def test_a_dead_archive_does_not_cost_its_deadline_on_each_query(tmp_path: Path) -> None:
    async with archive(is_silent) as (remote, port), site(tmp_path, {"OLD": port}) as ours:
        await ours.ask()
        async with asyncio.timeout(DEADLINE / 2):
            _, pending, comment = await ours.ask()
        assert (pending, comment, len(remote.asked)) == ({0xFF01}, "no or not all answers of OLD", 1)
        assert ours.counted("OLD", "skipped") == 1


async def test_text_in_another_character_set_is_converted_and_what_is_in_none_left_out(tmp_path: Path) -> None:
    latin = match("1.50", SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg")
    wrong = match("1.51", SpecificCharacterSet="ISO_IR 192", PatientName="AAAA^B").replace(b"AAAA", b"\xfc\xfc\xfc\xfc")
    async with archive(answering(latin, wrong)) as (_, port), site(tmp_path, {"OLD": port}) as ours:
        names = {str(answer.StudyInstanceUID): answer.PatientName or "" for answer in (await ours.ask())[0]}
        assert (names["1.50"], names["1.51"]) == ("Müller^Jörg", "")


async def test_queries_of_the_other_archive_and_of_those_who_may_not_are_ours_alone(tmp_path: Path) -> None:
    async with archive(answering(match("1.50"))) as (remote, port), site(tmp_path, {"OLD": port}) as ours:
        for calling in ("OLD", "PLAIN"):
            assert uids((await ours.ask(calling))[0]) == ["1.1", "1.2"]
        assert not remote.asked
        for sight in (NOTHING, Sight(copies="a link")):
            with restricted(sight):
                assert not ours.federation.is_for("VIEWER")


async def test_too_many_at_once_are_answered_alone(tmp_path: Path) -> None:
    async with archive(is_silent) as (remote, port), site(tmp_path, {"OLD": port}, at_once=1) as ours:
        answers = await asyncio.gather(ours.ask(), ours.ask(), ours.ask())
        assert [uids(matches) for matches, _, _ in answers] == [["1.1", "1.2"]] * 3
        assert (len(remote.asked), ours.counted("OLD", "unasked")) == (1, 2)


async def test_a_federated_search_over_http_says_where_each_study_is(tmp_path: Path) -> None:
    async with archive(answering(*[match(f"1.5{n}") for n in range(3)])) as (remote, port):
        async with site(tmp_path, {"OLD": port}) as ours:
            async with ours.http.get("/dicom-web/studies?PatientID=P1") as answer:
                assert len(await answer.json()) == 2
                assert not remote.asked
            async with ours.http.get("/dicom-web/studies?PatientID=P1&federated=true") as answer:
                studies = await answer.json()
            assert "Warning" not in answer.headers
            assert [answer["0020000D"]["Value"][0] for answer in studies] == ["1.1", "1.2", "1.50", "1.51", "1.52"]
            assert [answer["00080054"]["Value"] for answer in studies] == [["GANTRY"]] * 2 + [["OLD"]] * 3
            assert ["00081190" in answer for answer in studies] == [True, True, False, False, False]
            assert studies[-1]["00080056"]["Value"] == ["NEARLINE"]


async def test_pages_of_a_federated_search_are_those_of_one_list(tmp_path: Path) -> None:
    async with archive(answering(*[match(f"1.5{n}") for n in range(3)])) as (_, port):
        async with site(tmp_path, {"OLD": port}) as ours:
            studies, url = [], "/dicom-web/studies?PatientID=P1&federated=true&limit=2&offset=1"
            for _ in range(2):
                async with ours.http.get(url) as answer:
                    studies += [row["0020000D"]["Value"][0] for row in await answer.json()]
                    url = str(answer.links.get("next", {}).get("url", ""))
            assert (studies, url) == (["1.2", "1.50", "1.51", "1.52"], "")


async def test_a_federated_search_over_http_warns_of_who_did_not_answer(tmp_path: Path) -> None:
    async with archive(is_silent) as (_, port), site(tmp_path, {"OLD": port}) as ours:
        async with ours.http.get("/dicom-web/studies?federated=true") as answer:
            assert (answer.status, len(await answer.json())) == (200, 2)
            assert answer.headers["Warning"] == '299 gantry "OLD did not answer within its deadline."'
        for wrong in ("federated=maybe", "federated=true&orderby=StudyDate"):
            async with ours.http.get(f"/dicom-web/studies?{wrong}") as answer:
                assert answer.status == 400
        async with ours.http.get("/dicom-web/studies/count?federated=true") as answer:
            assert "federated is not for counts" in answer.headers["Warning"]


async def test_a_caller_who_sees_some_studies_gets_no_answer_of_another_archive(tmp_path: Path) -> None:
    secrets = {"referrer": "0123456789abcdef-some", "radiologist": "0123456789abcdef-all"}
    lines = [f"{role}:{secret} roles={role}\n" for role, secret in secrets.items()]
    (tmp_path / "tokens").write_text("".join(lines))
    access = AccessControl(Tokens(tmp_path / "tokens"), table=role_table([]))
    async with archive(answering(match("1.50"))) as (remote, port), site(tmp_path, {"OLD": port}, access) as ours:
        for role, seen in (("referrer", []), ("radiologist", ["1.1", "1.2", "1.50"])):
            headers = {"Authorization": f"Bearer {secrets[role]}"}
            async with ours.http.get("/dicom-web/studies?federated=true", headers=headers) as answer:
                assert [row["0020000D"]["Value"][0] for row in await answer.json()] == seen
                assert ("federated was ignored" in answer.headers.get("Warning", "")) is (not seen)
            assert len(remote.asked) == (0 if not seen else 1)


@asynccontextmanager
async def without_release(port: int) -> AsyncIterator[int]:
    """The archive on `port`, except that it never hears of an A-RELEASE-RQ (PS3.8 9.3.6)."""

    async def pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ours: bool) -> None:
        while data := await reader.read(1 << 16):
            if not ours or data[0] != 0x05:
                writer.write(data)
        writer.close()

    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, to_there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pumped(reader, to_there, True), pumped(upstream, writer, False))

    server = await asyncio.start_server(taken, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_one_that_does_not_release_has_answered_nevertheless(tmp_path: Path) -> None:
    async with archive(answering(match("1.50"))) as (_, port), without_release(port) as proxied:
        async with site(tmp_path, {"OLD": proxied}) as ours, asyncio.timeout(DEADLINE / 2):
            answers, pending, comment = await ours.ask()
            assert (uids(answers), pending, comment) == (["1.1", "1.2", "1.50"], {0xFF00}, "")
