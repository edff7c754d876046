"""The examples of docs/examples as they stand there: Gantry's image in tests written in Java and in JavaScript."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from tests.support.archive import ROOT
from tests.support.engine import set_up_testcontainers
from tests.support.servers import required

pytestmark = pytest.mark.timeout(900)  # the first run fetches what the examples need, and may build the image


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed, which this example is run with")


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    set_up_testcontainers()
    return subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, timeout=400, check=False)


@pytest.fixture
def object_file() -> str:
    return str(get_testdata_file("CT_small.dcm"))


def example(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(ROOT / "docs" / "examples" / name, folder / name))


def test_a_test_in_java_stores_and_finds(tmp_path: Path, object_file: str) -> None:
    needs("mvn", "javac")
    image, folder = required("gantry").address, example("java", tmp_path)
    if run(folder, "mvn", "-q", "-B", "dependency:resolve", "dependency:resolve-plugins").returncode:
        pytest.skip("Maven cannot fetch what the example needs")
    done = run(folder, "mvn", "-q", "-B", "compile", "exec:java", f"-Dexec.args={image} {object_file}")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "found:" in done.stdout
    assert "1CT1" in done.stdout


def test_a_test_in_javascript_stores_and_finds(tmp_path: Path, object_file: str) -> None:
    needs("node", "npm")
    image, folder = required("gantry").address, example("javascript", tmp_path)
    if run(folder, "npm", "install", "--no-audit", "--no-fund", "--silent").returncode:
        pytest.skip("npm cannot fetch what the example needs")
    done = run(folder, "node", "example.js", image, object_file)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "found: 1CT1" in done.stdout
