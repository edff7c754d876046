"""HL7's own validator of FHIR resources (from Maven, as packaged by HAPI), built once per machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.archive import ROOT
from tests.support.parts import version_of

_PROJECT = ROOT / "tests" / "support" / "fhir_validator"


def validated(folder: Path) -> list[str]:
    """The validator's output for the resources in a folder, a line each. Skips the test if it is not available."""
    made = _made()
    # It runs for half a minute: Java's second compiler would cost more than it saves.
    java = ["java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", f"{made}/classes:{made}/libs/*", "Validate"]
    files = [str(file) for file in sorted(folder.glob("*.json"))]
    done = subprocess.run([*java, *files], capture_output=True, text=True, timeout=400, check=False)
    assert not done.returncode, done.stdout[-2000:] + done.stderr[-2000:]
    return [line for line in done.stdout.splitlines() if line]


def _made() -> Path:
    for program in ("mvn", "javac"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed, which HL7's validator is made with")
    sources = [_PROJECT / name for name in ("pom.xml", "Validate.java")]
    digest = sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    made = Path(version_of("CACHE")) / f"hl7-validator-{digest}"
    if made.exists():
        return made
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent, prefix=".validator-") as work:
        shutil.copytree(_PROJECT, f"{work}/project")
        _run(f"{work}/project", "mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={work}/out/libs")
        _run(f"{work}/project", "javac", "-cp", f"{work}/out/libs/*", "-d", f"{work}/out/classes", "Validate.java")
        try:
            os.rename(f"{work}/out", made)
        except OSError:  # another worker was faster
            assert made.exists()
    return made


def _run(folder: str, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400, check=False)
    if done.returncode and command[0] == "mvn":
        pytest.skip("Maven cannot fetch HL7's validator")
    assert not done.returncode, done.stdout[-2000:] + done.stderr[-2000:]
