"""What `make release` makes: its SBOM names what an installation consists of, and its checksums are signed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.archive import ROOT
from tests.support.parts import parts
from tests.support.server import Unavailable

pytestmark = pytest.mark.timeout(600)


def run(*command: object, cwd: Path, stdin: bytes = b"", **more: str) -> subprocess.CompletedProcess[bytes]:
    words, env = [str(word) for word in command], {**os.environ, **more}
    return subprocess.run(words, cwd=cwd, env=env, input=stdin, capture_output=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean one of what is committed, with a key to sign by; no Docker engine answers here, so it has no image."""
    try:
        parts("syft")
    except Unavailable as error:
        pytest.skip(f"syft: {error}")
    folder = tmp_path_factory.mktemp("release")
    for needed in ("git", "ssh-keygen"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not here")
    assert run("git", "clone", "--quiet", ROOT, folder / "gantry", cwd=folder).returncode == 0
    (folder / "gantry" / ".venv").symlink_to(Path(sys.prefix))
    assert run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key", cwd=folder).returncode == 0
    return folder / "gantry"


def release(checkout: Path) -> tuple[Path, bytes]:
    """Its folder, and the bytes of its SBOM."""
    key = checkout.parent / "key"
    away = {"DOCKER_HOST": "tcp://127.0.0.1:1", "RELEASE_KEY": str(key), "ALLOW_DIRTY": "1"}
    done = run("sh", "deploy/release.sh", cwd=checkout, **away)
    assert done.returncode == 0, done.stderr.decode()
    assert b"there is no image" in done.stdout
    (listed,) = (checkout / "dist").glob("*.cdx.json")
    return checkout / "dist", listed.read_bytes()


@pytest.fixture(scope="module")
def released(checkout: Path) -> tuple[Path, bytes]:
    return release(checkout)


def test_its_sbom_names_gantry_and_each_package_that_it_needs_by_version(
    checkout: Path, released: tuple[Path, bytes]
) -> None:
    bill = json.loads(released[1])
    lock = run(sys.executable, "deploy/images/runtime.py", cwd=checkout).stdout.decode()
    wanted = {
        (re.sub(r"[-_.]+", "-", name).lower(), version)
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock, re.MULTILINE)
    }
    assert len(wanted) > 50
    components = {(part["name"], part["version"]) for part in bill["components"]}
    ours = {entry for entry in components if entry[0] == "gantry-dicom"}
    assert ours
    assert components - ours == wanted
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "gantry")
    assert all(part["purl"].startswith("pkg:pypi/") for part in bill["components"])


def test_its_sbom_is_the_same_when_it_is_made_again(checkout: Path, released: tuple[Path, bytes]) -> None:
    assert release(checkout)[1] == released[1]


def test_its_checksums_are_right_and_signed(checkout: Path, released: tuple[Path, bytes]) -> None:
    dist, _ = released
    assert run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=dist).returncode == 0
    sums = (dist / "SHA256SUMS").read_bytes()
    assert {line.split()[1].decode() for line in sums.splitlines()} == {
        file.name for file in dist.iterdir() if not file.name.startswith("SHA256SUMS")
    }
    public = (checkout.parent / "key.pub").read_text()
    (dist.parent / "signers").write_text(f"release@gantry {public}")

    def believed(content: bytes) -> bool:
        options = ("-f", "signers", "-I", "release@gantry", "-n", "gantry-release", "-s", "dist/SHA256SUMS.sig")
        return run("ssh-keygen", "-Y", "verify", *options, cwd=dist.parent, stdin=content).returncode == 0

    assert believed(sums)
    assert not believed(sums.replace(b"0", b"1", 1))
