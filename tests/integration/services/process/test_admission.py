"""The policy at the door of a real server, seen from a real client."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gantry.common.config.policy import read_policy
from gantry.common.dicom.standard.sop_classes import STORAGE_COMMITMENT, STUDY_ROOT_FIND, VERIFICATION
from gantry.common.errors import AssociationRejected
from gantry.common.net import Peer, Server, connect
from gantry.common.ul import Ability
from gantry.services.process.admission import PolicyAdmission
from gantry.services.process.verification import VerificationService
from tests.support.network import Silence

CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = ["1.2.840.10008.1.2"]
EVERYTHING = [(uid, IMPLICIT) for uid in (VERIFICATION, CT, STUDY_ROOT_FIND, STORAGE_COMMITMENT)]


@pytest.fixture
def counts() -> Counter[str]:
    return Counter()


@pytest.fixture
async def port(tmp_path: Path, counts: Counter[str]) -> AsyncIterator[int]:
    file = tmp_path / "peers.yaml"
    file.write_text(
        "peers:\n"
        "  - {ae_title: CT1, host: 127.0.0.1, may: [echo, store], max_associations: 2}\n"
        "  - {ae_title: READER, host: 127.0.0.1, may: [find]}\n"
        "  - {ae_title: ELSEWHERE, host: 10.0.0.1, may: [find]}\n"
    )
    policy = read_policy(file, "GANTRY")
    service = VerificationService()
    service.abilities = {uid: Ability() for uid, _ in EVERYTHING}
    server = Server([service], PolicyAdmission(lambda: policy, [CT], counts), Silence())
    yield await server.start("127.0.0.1", 0)
    await server.drain(0.5)


async def accepted(port: int, calling: str, called: str = "GANTRY") -> set[str]:
    async with connect(Peer("127.0.0.1", port, called, calling), EVERYTHING) as association:
        return {context.abstract_syntax for context in association.contexts.values()}


async def test_peer_gets_the_contexts_that_it_may_use(port: int) -> None:
    assert await accepted(port, "CT1") == {VERIFICATION, CT}
    assert await accepted(port, "READER") == {STUDY_ROOT_FIND}


@pytest.mark.parametrize(
    ("calling", "called", "numbers"),
    [("STRANGER", "GANTRY", (1, 1, 3)), ("ELSEWHERE", "GANTRY", (1, 1, 3)), ("CT1", "OTHER", (1, 1, 7))],
)
async def test_stranger_is_rejected(port: int, calling: str, called: str, numbers: tuple[int, int, int]) -> None:
    with pytest.raises(AssociationRejected) as error:
        await accepted(port, calling, called)
    assert (error.value.result, error.value.source, error.value.reason) == numbers


async def test_peer_at_its_limit_is_rejected_for_now(port: int, counts: Counter[str]) -> None:
    counts["CT1"] = 2
    with pytest.raises(AssociationRejected) as error:
        await accepted(port, "CT1")
    assert (error.value.result, error.value.source, error.value.reason) == (2, 3, 2)
