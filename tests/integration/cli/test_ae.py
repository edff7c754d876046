"""`gantry ae`, as an administrator uses it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gantry.cli.ae import ae
from gantry.common.config.policy import Permission

ROOT = Path(__file__).parents[3]
SERVER = """
import asyncio
from gantry.common.config.policy import Policy
from gantry.common.net import Server
from gantry.services.process.admission import PolicyAdmission
from gantry.services.process.verification import VerificationService
from tests.support.network import Silence
async def main():
    policy = Policy("REMOTE", {}, lab=True)
    server = Server([VerificationService()], PolicyAdmission(lambda: policy, []), Silence())
    print(await server.start("127.0.0.1", 0), flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "gantry.yaml"


@pytest.fixture
def remote() -> Iterator[int]:
    """The port of an AE called REMOTE in another process."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.kill()
    process.communicate()


def gantry_ae(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(ae, ["--config", str(config), *arguments])


def test_peer_is_added_listed_and_removed(config: Path) -> None:
    added = gantry_ae(config, "add", "CT1", "--host", "10.0.0.1", "--port", "104", "--may", "store", "--may", "echo")
    assert added.exit_code == 0, added.output
    listed = json.loads(gantry_ae(config, "list", "--json").output)
    assert (listed["ae_title"], listed["host"], listed["port"]) == ("CT1", "10.0.0.1", 104)
    assert sorted(listed["may"]) == ["echo", "store"]
    assert "CT1" in gantry_ae(config, "list").output
    assert gantry_ae(config, "remove", "CT1").exit_code == 0
    assert gantry_ae(config, "list", "--json").output == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "CT1"], "`host` or `from` is needed"),
        (["add", "A" * 17, "--host", "10.0.0.1"], "not an AE title"),
        (["add", "CT1", "--host", "ct.example.org"], "`from` must list"),
        (["remove", "CT1"], "no peer has the AE title CT1"),
    ],
)
def test_edit_that_is_wrong_is_refused_in_words(config: Path, arguments: list[str], words: str) -> None:
    config.write_text("dimse:\n  port: 104\n")
    result = gantry_ae(config, *arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert config.read_text() == "dimse:\n  port: 104\n"


def test_what_a_peer_may_is_listed_in_one_order(config: Path) -> None:
    every = [word for permission in Permission for word in ("--may", permission.value)]
    assert gantry_ae(config, "add", "CT1", "10.0.0.1:104", *every).exit_code == 0
    shown = json.loads(gantry_ae(config, "show", "CT1", "--json").output)
    assert shown["may"] == sorted(permission.value for permission in Permission)


@pytest.mark.parametrize("given", [("--reason", "moved"), ("--version", "7"), ("--token-file", __file__)])
def test_what_only_a_running_archive_keeps_or_checks_is_refused_without_its_address(
    config: Path, given: tuple[str, str]
) -> None:
    assert gantry_ae(config, "add", "CT1", "10.0.0.1:104").exit_code == 0
    before = config.read_text()
    command = ("remove", "CT1") if given[0] != "--token-file" else ("list",)
    refused = gantry_ae(config, *command, *given)
    assert (refused.exit_code, f"{given[0]} is for a running archive" in refused.output) == (2, True), refused.output
    assert config.read_text() == before


def test_policy_in_a_file_of_its_own_is_the_one_edited(config: Path) -> None:
    config.write_text("peers_file: peers.yaml\n")
    assert gantry_ae(config, "add", "CT1", "--host", "10.0.0.1").exit_code == 0
    assert config.read_text() == "peers_file: peers.yaml\n"
    assert "CT1" in (config.parent / "peers.yaml").read_text()


def test_test_tries_a_peer_both_ways(config: Path, remote: int) -> None:
    gantry_ae(config, "add", "REMOTE", "--host", "127.0.0.1", "--port", str(remote), "--may", "find")
    result = gantry_ae(config, "test", "REMOTE")
    assert result.exit_code == 0, result.output
    assert "ok      GANTRY → REMOTE: C-ECHO at 127.0.0.1" in result.output
    assert "ok      REMOTE → GANTRY: would be admitted from 127.0.0.1; may find" in result.output


def test_test_says_in_words_what_is_wrong(config: Path, remote: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
    gantry_ae(config, "add", "WRONG", "--host", "127.0.0.1", "--port", str(remote))
    gantry_ae(config, "add", "GONE", "--host", "127.0.0.1", "--port", str(closed))
    gantry_ae(config, "add", "NAMED", "--host", "localhost", "--port", str(remote), "--from", "10.0.0.0/8")
    wrong, gone, named = (gantry_ae(config, "test", title) for title in ("WRONG", "GONE", "NAMED"))
    assert "the called AE title is not recognised" in wrong.output
    assert "no connection" in gone.output
    assert "would be rejected when it calls from 127.0.0.1 (1/1/3: known, but not at this address)" in named.output
    assert {result.exit_code for result in (wrong, gone, named)} == {1}
    assert gantry_ae(config, "test", "NOBODY").exit_code == 1
