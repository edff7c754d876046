"""The audit repository is ended and restored while records come: every one of them arrives."""

from __future__ import annotations

import asyncio
import signal
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.conftest import MakeArchive
from tests.crash.test_audit import http
from tests.support.archive import RunningArchive
from tests.support.asking import until
from tests.support.audit_schema import require_valid
from tests.support.certificates import Authority
from tests.support.operations import OPERATOR
from tests.support.syslog_receiver import RECEIVERS, SyslogReceiver

_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"


@pytest.fixture(params=RECEIVERS)
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SyslogReceiver, dict[str, str]]]:
    authority = Authority(tmp_path / "pki", "ca")
    folder = tmp_path / "repository"
    folder.mkdir()
    made = SyslogReceiver(request.param, folder, authority.sign("repository"), authority.ca)
    ours = authority.sign("gantry")
    settings = {
        "GANTRY_AUDIT__SYSLOG": made.address,
        "GANTRY_AUDIT__SYSLOG_CERTIFICATE": str(ours.certificate),
        "GANTRY_AUDIT__SYSLOG_KEY": str(ours.key),
        "GANTRY_AUDIT__SYSLOG_CA": str(authority.ca),
        "GANTRY_AUDIT__SYSLOG_RETRY_LONGEST": "1",
    }
    yield made, settings
    made.end()


def asked(receiver: SyslogReceiver) -> set[str]:
    """The query strings of the messages that arrived, each of which is valid."""
    queries = set()
    for line in receiver.messages:
        head, _, message = line.partition(_BOM)
        assert head.startswith("<8"), line
        assert " gantry " in head
        assert "DICOM+RFC3881" in head
        query = require_valid(message.encode()).find(".//ParticipantObjectQuery")
        queries |= {b64decode(query.text or "").decode()} if query is not None else set()
    return queries


async def search(archive: RunningArchive, numbers: range) -> set[str]:
    """Searches that are a record each."""
    for number in numbers:
        assert await asyncio.to_thread(http, archive, f"studies?limit={number}") == 200
        await asyncio.sleep(0.02)
    return {f"limit={number}" for number in numbers}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_no_record_is_lost_when_the_repository_ends_and_comes_back(
    make_archive: MakeArchive, receiver: tuple[SyslogReceiver, dict[str, str]], how: signal.Signals
) -> None:
    repository, settings = receiver
    repository.start()
    archive = make_archive().start(env={**OPERATOR, **settings})
    wanted = await search(archive, range(1, 21))
    await until(lambda: bool(asked(repository)), 90)
    ending = asyncio.create_task(search(archive, range(21, 61)))
    await asyncio.sleep(0.5)
    repository.end(how)
    wanted |= await ending
    wanted |= await search(archive, range(61, 66))
    await until(lambda: archive.metric("gantry_audit_syslog_failures_total") >= 1, 90)
    repository.start()
    wanted |= await search(archive, range(66, 71))
    try:
        await until(lambda: wanted <= asked(repository), 90)
    except TimeoutError:
        raise AssertionError(f"lost: {sorted(wanted - asked(repository))}") from None


async def test_nothing_is_sent_to_a_repository_that_another_authority_vouches_for(
    make_archive: MakeArchive, receiver: tuple[SyslogReceiver, dict[str, str]], tmp_path: Path
) -> None:
    repository, settings = receiver
    repository.start()
    other = Authority(tmp_path / "others", "other")
    archive = make_archive().start(env={**OPERATOR, **settings, "GANTRY_AUDIT__SYSLOG_CA": str(other.ca)})
    await search(archive, range(1, 3))
    await until(lambda: archive.metric('gantry_audit_syslog_failures_total{reason="tls"}') >= 1)
    assert not repository.messages
