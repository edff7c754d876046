"""HAPI, the Java library that most interface engines stand on, as a foreign sender: the example of docs/examples/hl7 as
it stands there. HAPI parses our answers, and would refuse those that are none."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.archive import ROOT, RunningArchive, free_port

pytestmark = pytest.mark.timeout(600)  # the first run fetches what the example needs


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[RunningArchive, int]]:
    running, port = RunningArchive(tmp_path), free_port()
    running.write_policy([], f"hl7: {{port: {port}, profiles: [{{sender: HAPI, authorities: [HOSP]}}]}}\n")
    running.start()
    yield running, port
    running.kill()


def example(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    for program in ("mvn", "javac"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed, which this example is run with")
    shutil.copytree(ROOT / "docs" / "examples" / "hl7", folder)
    if _maven(folder, "dependency:resolve", "dependency:resolve-plugins").returncode:
        pytest.skip("Maven cannot fetch what the example needs")
    return _maven(folder, "compile", "exec:java", f"-Dexec.args={' '.join(arguments)}")


def _maven(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["mvn", "-q", "-B", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400, check=False)


def test_what_hapi_sends_is_applied_and_what_we_answer_it_parses(
    archive: tuple[RunningArchive, int], tmp_path: Path
) -> None:
    running, port = archive
    done = example(tmp_path / "example", "127.0.0.1", str(port))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    # Maven writes colours before what a program says.
    said = re.sub(r"\x1b\[\d*m", "", done.stdout)
    assert said.splitlines() == [
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
