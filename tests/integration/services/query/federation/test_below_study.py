"""Series and instances of archives that do not behave: asked for level by level, in studies that are not here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from gantry.common.dimse import Element
from gantry.common.net import Peer, Request, connect
from gantry.common.net.scu import find
from tests.integration.services.query.federation.test_bad_archives import Behaviour, Site, archive, match, site
from tests.support.dicom import EXPLICIT, from_bytes, to_bytes

CT = "1.2.840.10008.5.1.4.1.1.2"


def having(study: str, series: dict[str, list[str]], broken: str = "") -> Behaviour:
    """An archive that is as strict as the standard allows: hierarchical search alone, keys of the level alone. `broken`
    is the series of which it sends one instance, and no more."""

    async def behave(request: Request) -> None:
        identifier = from_bytes(request.data, EXPLICIT)
        matches: list[bytes] = []
        if identifier.QueryRetrieveLevel == "STUDY" and study in identifier.get("StudyInstanceUID", ""):
            matches = [match(study, PatientName="Doe^J")]
        elif identifier.QueryRetrieveLevel == "SERIES":
            assert "PatientID" not in identifier
            assert identifier.StudyInstanceUID == study
            matches = [below("SERIES", study, uid, Modality="CT", SeriesNumber=1) for uid in series]
        elif identifier.QueryRetrieveLevel == "IMAGE":
            assert "Modality" not in identifier
            uids = series[identifier.SeriesInstanceUID]
            matches = [
                below("IMAGE", study, identifier.SeriesInstanceUID, SOPInstanceUID=uid, SOPClassUID=CT) for uid in uids
            ]
            if identifier.SeriesInstanceUID == broken:
                await request.respond_pending(matches[:1], 0xFF00)
                await asyncio.sleep(30)
        await request.respond_pending(matches, 0xFF00)
        await request.respond(0)

    return behave


def below(level: str, study: str, series: str, **keys: Any) -> bytes:
    answer = Dataset()
    answer.QueryRetrieveLevel, answer.StudyInstanceUID, answer.SeriesInstanceUID = level, study, series
    for keyword, value in keys.items():
        setattr(answer, keyword, value)
    return to_bytes(answer, EXPLICIT)


async def ask(ours: Site, level: str, calling: str = "VIEWER", **keys: Any) -> tuple[list[Dataset], set[int], str]:
    """Matches, statuses of pending responses, and the final Error Comment."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.PatientName = identifier.Modality = identifier.SeriesInstanceUID = identifier.InstanceAvailability = ""
    if level == "IMAGE":
        identifier.SOPInstanceUID = identifier.SOPClassUID = ""
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    answers, pending, comment = [], set(), ""
    peer = Peer("127.0.0.1", ours.port, "GANTRY", calling)
    relational = ((STUDY_ROOT_FIND, b"\1"),)
    async with connect(peer, [(STUDY_ROOT_FIND, (EXPLICIT,))], extended=relational) as association:
        async for command, data in find(association, STUDY_ROOT_FIND, to_bytes(identifier, EXPLICIT)):
            if data:
                answers.append(from_bytes(data, EXPLICIT))
                pending.add(command.status)
            else:
                assert command.status == 0
                comment = str(command.elements.get(Element.ERROR_COMMENT, ""))
    return answers, pending, comment


HAS = {"1.50.1": ["1.50.1.1", "1.50.1.2"], "1.50.2": ["1.50.2.1"]}


async def test_series_and_instances_of_a_study_that_is_elsewhere_are_answered_with_where(tmp_path: Path) -> None:
    async with (
        archive(having("1.50", HAS)) as (_, old),
        archive(having("1.50", {"1.50.2": ["1.50.2.1"]})) as (_, north),
    ):
        async with site(tmp_path, {"OLD": old, "NORTH": north}) as ours:
            answers, pending, comment = await ask(ours, "SERIES", StudyInstanceUID="1.50")
            assert [
                (answer.SeriesInstanceUID, answer.RetrieveAETitle, answer.PatientName, answer.Modality)
                for answer in answers
            ] == [
                ("1.50.1", "OLD", "Doe^J", "CT"),
                ("1.50.2", ["NORTH", "OLD"], "Doe^J", "CT"),
            ]
            assert (pending, comment) == ({0xFF00}, "")
            answers, _, _ = await ask(ours, "IMAGE", StudyInstanceUID="1.50")
            assert [(answer.SOPInstanceUID, answer.SOPClassUID, answer.InstanceAvailability) for answer in answers] == [
                (uid, CT, "NEARLINE") for uids in HAS.values() for uid in uids
            ]
            answers, _, _ = await ask(ours, "IMAGE", StudyInstanceUID="1.50", SeriesInstanceUID="1.50.2")
            assert [answer.SOPInstanceUID for answer in answers] == ["1.50.2.1"]


async def test_a_study_that_is_here_is_answered_by_us_alone_and_nobody_is_asked(tmp_path: Path) -> None:
    async with archive(having("1.2", {"1.2.9": ["1.2.9.1"]})) as (remote, port):
        async with site(tmp_path, {"OLD": port}) as ours:
            answers, pending, _ = await ask(ours, "SERIES", StudyInstanceUID="1.2")
            assert ([answer.SeriesInstanceUID for answer in answers], pending, remote.asked) == (
                ["1.2.1"],
                {0xFF00},
                [],
            )
            # Of two, the one that is not here is asked for.
            answers, _, _ = await ask(ours, "SERIES", StudyInstanceUID=["1.1", "1.2", "1.77"])
            assert [answer.SeriesInstanceUID for answer in answers] == ["1.1.1", "1.2.1"]
            assert [request.StudyInstanceUID for request in remote.asked] == ["1.77"]


@pytest.mark.parametrize("named", [[], [f"1.{n}" for n in range(50, 67)]], ids=["none", "seventeen"])
async def test_series_of_no_named_study_are_ours_alone_and_a_warning_says_so(named: list[str], tmp_path: Path) -> None:
    async with archive(having("1.50", HAS)) as (remote, port), site(tmp_path, {"OLD": port}) as ours:
        answers, pending, comment = await ask(ours, "SERIES", StudyInstanceUID=[*named, *(["1.1"] if named else [])])
        assert ([answer.SeriesInstanceUID for answer in answers][:1], pending) == (["1.1.1"], {0xFF01})
        assert comment == "other archives are asked for 1 to 16 named studies only"
        assert not remote.asked


async def test_what_came_of_a_study_before_the_deadline_is_answered_with_a_warning(tmp_path: Path) -> None:
    async with archive(having("1.50", HAS, broken="1.50.2")) as (_, port), site(tmp_path, {"OLD": port}) as ours:
        answers, pending, comment = await ask(ours, "IMAGE", StudyInstanceUID="1.50")
        assert [answer.SOPInstanceUID for answer in answers] == ["1.50.1.1", "1.50.1.2", "1.50.2.1"]
        assert (pending, comment) == ({0xFF01}, "no or not all answers of OLD")
        assert ours.counted("OLD", "slow") == 1
        # It did answer: others may ask it.
        await ask(ours, "SERIES", StudyInstanceUID="1.50")
        assert ours.counted("OLD", "answered") == 1


async def test_those_who_may_not_get_nothing_of_other_archives(tmp_path: Path) -> None:
    async with archive(having("1.50", HAS)) as (remote, port), site(tmp_path, {"OLD": port}) as ours:
        for calling in ("OLD", "PLAIN"):
            assert await ask(ours, "SERIES", calling, StudyInstanceUID="1.50") == ([], set(), "")
        assert not remote.asked


async def test_over_http_series_and_instances_of_a_study_are_one_list_in_pages(tmp_path: Path) -> None:
    async with archive(having("1.50", HAS)) as (remote, port), site(tmp_path, {"OLD": port}) as ours:
        async with ours.http.get("/dicom-web/studies/1.50/series") as answer:
            assert await answer.json() == []
            assert not remote.asked
        async with ours.http.get("/dicom-web/studies/1.50/series?federated=true") as answer:
            series = await answer.json()
        assert [answer["0020000E"]["Value"][0] for answer in series] == list(HAS)
        assert all(answer["00080054"]["Value"] == ["OLD"] and "00081190" not in answer for answer in series)
        uids, url = [], "/dicom-web/studies/1.50/instances?federated=true&limit=2"
        for _ in range(2):
            async with ours.http.get(url) as answer:
                assert answer.status == 200
                uids += [row["00080018"]["Value"][0] for row in await answer.json()]
                url = str(answer.links.get("next", {}).get("url", ""))
        assert (uids, url) == (["1.50.1.1", "1.50.1.2", "1.50.2.1"], "")
        async with ours.http.get("/dicom-web/studies/1.50/series/1.50.2/instances?federated=true") as answer:
            assert [row["00080018"]["Value"][0] for row in await answer.json()] == ["1.50.2.1"]
        async with ours.http.get("/dicom-web/series?federated=true") as answer:
            assert "1 to 16 studies that are named" in answer.headers["Warning"]
