"""HAPI as a foreign sender: it parses our answers, and would refuse those that are none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archive import RunningArchive
from tests.support.hapi import prepared, sent
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(600)  # the first run fetches what the example needs


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[RunningArchive, int]]:
    running, port = RunningArchive(tmp_path), free_port()
    running.write_policy([], f"hl7: {{port: {port}, profiles: [{{sender: HAPI, authorities: [HOSP]}}]}}\n")
    running.start()
    yield running, port
    running.kill()


def test_what_hapi_sends_is_applied_and_what_we_answer_it_parses(
    archive: tuple[RunningArchive, int], tmp_path: Path
) -> None:
    running, port = archive
    assert sent(prepared(tmp_path / "example"), "127.0.0.1", str(port)) == [
        "new: ACK AA HAPI1",
        "change: ACK AA HAPI2",
        "refused: ACK AE HAPI3 103 ORC-1",
        "merge: ACK AA HAPI4",
    ]
    status, body = running.http("/dicom-web/orders/H100")
    assert status == 200
    (order,) = json.loads(body)
    values = {tag: order[tag]["Value"][0] for tag in ("00100010", "00100020", "00321060", "0020000D")}
    assert values == {
        "00100010": {"Alphabetic": "Müller & Söhne^Jörg"},
        "00100020": "4712",
        "00321060": "CT of the neck",
        "0020000D": "1.2.3.100",
    }
