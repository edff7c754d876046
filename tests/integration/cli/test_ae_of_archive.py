"""`gantry ae --url`, where what answers is no archive, or nothing; and what a file of tokens has to be."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gantry.cli.ae import ae


class Stranger(BaseHTTPRequestHandler):
    """Answers each path in a way of its own; notes what it was sent."""

    tokens: list[str] = []

    def do_GET(self) -> None:
        self.tokens.append(self.headers.get("Authorization", ""))
        kind = self.path.split("/")[1]
        status = {"redirect": 302, "page": 502, "denied": 403}.get(kind, 200)
        self.send_response(status)
        if kind == "redirect":
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/stolen/")  # type: ignore[attr-defined]
        self.end_headers()
        self.wfile.write({"list": b"[]", "other": b'{"a": 1}', "page": b"<html>\x1b[31m"}.get(kind, b"hello\x1b[31m"))

    do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def stranger() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Stranger)
    Stranger.tokens.clear()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def gantry_ae(*arguments: str) -> Result:
    return CliRunner().invoke(ae, list(arguments), catch_exceptions=False)


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("text", 3, "not from a Gantry archive"),
        ("list", 3, "not from a Gantry archive"),
        ("other", 3, "not from a Gantry archive"),
        ("page", 1, "no reason is given (502)"),
        ("denied", 1, "http.may_operate"),
        ("redirect", 1, "redirects to another address"),
    ],
)
def test_what_is_no_archive_is_said_and_gets_a_token_once(
    stranger: str, tmp_path: Path, path: str, code: int, words: str
) -> None:
    (tmp_path / "token").write_text("the-token\n")
    refused = gantry_ae("list", "--url", f"{stranger}/{path}", "--token-file", str(tmp_path / "token"))
    assert (refused.exit_code, words in refused.output) == (code, True), refused.output
    assert "\x1b" not in refused.output
    assert "the-token" not in refused.output
    assert Stranger.tokens == ["Bearer the-token"]


def test_an_archive_that_is_not_reached_is_said(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        refused = gantry_ae("add", "CT9", "192.0.2.9:104", "--url", url)
    assert (refused.exit_code, "no connection" in refused.output) == (3, True), refused.output


def test_an_archive_that_does_not_answer_is_not_waited_for() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        refused = gantry_ae("list", "--url", url, "--timeout", "0.5")
    assert (refused.exit_code, "no answer within 0.5 s" in refused.output) == (3, True), refused.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add", "CT9", "192.0.2.9:x"), 2, "not HOST or HOST:PORT"),
        (("add", "CT9"), 2, "`host` or `from` is needed"),
        (("add", "CT9", "192.0.2.9", "--set", "colour=red"), 2, "is not a field of a peer"),
        (("change", "CT9"), 2, "say what to change"),
        (("list", "--url", "archive.example"), 3, "is not the address of an archive"),
    ],
)
def test_what_is_wrong_with_a_command_is_said_before_anybody_is_asked(
    stranger: str, arguments: tuple[str, ...], code: int, words: str
) -> None:
    url = () if "--url" in arguments else ("--url", stranger)
    refused = gantry_ae(*arguments, *url)
    assert (refused.exit_code, words in refused.output) == (code, True), refused.output
    assert Stranger.tokens == []


def test_a_token_that_is_none_is_not_sent(stranger: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\ntwo\n")
    refused = gantry_ae("list", "--url", stranger, "--token-file", str(tmp_path / "token"))
    assert (refused.exit_code, "does not hold a token" in refused.output) == (3, True), refused.output
    assert Stranger.tokens == []
