"""`gantry.common.web.access`: closed by default."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from gantry.common.errors import ConfigError
from gantry.common.web.access import AccessControl, Tokens
from gantry.common.web.errors import HttpProblem

TOKEN = "0123456789abcdef-token"
LOCAL = {"Host": "127.0.0.1:8080"}
BEARER = {**LOCAL, "Authorization": f"Bearer {TOKEN}"}
PROXIES = (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# viewers\nohif:{TOKEN}\n")
    return path


def status_of(access: AccessControl, peer: str, headers: dict[str, str]) -> int:
    try:
        access.admit(peer, headers)
    except HttpProblem as problem:
        return problem.status
    return 200


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.8.8"])
def test_this_machine_may_ask_where_there_are_no_tokens(peer: str) -> None:
    assert status_of(AccessControl(Tokens(None)), peer, LOCAL) == 200


@pytest.mark.parametrize("peer", ["10.1.2.3", "fe80::1%eth0", "", "junk"])
def test_others_may_not(peer: str) -> None:
    assert status_of(AccessControl(Tokens(None)), peer, LOCAL) == 403


def test_browser_that_was_led_here_by_another_name_may_not() -> None:
    access = AccessControl(Tokens(None))
    assert status_of(access, "127.0.0.1", {"Host": "evil.example:8080"}) == 403
    assert status_of(access, "127.0.0.1", {"Host": "localhost:8080"}) == 200
    assert status_of(access, "::1", {"Host": "[::1]:8080"}) == 200


def test_token_is_needed_where_there_are_some(file: Path) -> None:
    access = AccessControl(Tokens(file))
    assert access.admit("10.1.2.3", BEARER).name == "ohif"
    assert status_of(access, "127.0.0.1", LOCAL) == 401
    assert status_of(access, "10.1.2.3", {"Authorization": f"Bearer {TOKEN}x"}) == 401
    assert status_of(access, "10.1.2.3", {"Authorization": f"Basic {TOKEN}"}) == 401
    assert status_of(access, "10.1.2.3", {"Authorization": "Bearer "}) == 401


def test_lab_opens_this_machine_only(file: Path) -> None:
    access = AccessControl(Tokens(file), lab=True)
    assert status_of(access, "127.0.0.1", LOCAL) == 200
    assert status_of(access, "10.1.2.3", LOCAL) == 401


def test_what_a_proxy_passes_on_is_from_whom_it_names() -> None:
    access = AccessControl(Tokens(None), PROXIES)
    assert status_of(access, "127.0.0.1", {**LOCAL, "X-Forwarded-For": "192.0.2.1"}) == 403
    assert status_of(access, "10.0.0.1", {**LOCAL, "X-Forwarded-For": "192.0.2.1, 10.0.0.2"}) == 403
    assert status_of(access, "127.0.0.1", {**LOCAL, "X-Forwarded-For": "192.0.2.1, 127.0.0.1"}) == 403
    assert status_of(access, "127.0.0.1", {**LOCAL, "X-Forwarded-For": "127.0.0.1"}) == 200


def test_loopback_address_of_another_machine_is_not_this_machine() -> None:
    access = AccessControl(Tokens(None), PROXIES)
    assert status_of(access, "10.0.0.1", {**LOCAL, "X-Forwarded-For": "127.0.0.1"}) == 403


def test_token_comes_with_the_address_that_the_proxy_names(file: Path) -> None:
    caller = AccessControl(Tokens(file), PROXIES).admit(
        "10.0.0.1", {**BEARER, "X-Forwarded-For": "192.0.2.9, 192.0.2.1"}
    )
    assert (str(caller.address), caller.name) == ("192.0.2.1", "ohif")


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.1"])
@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": ""}, {"X-Forwarded-For": " , "}, {"Forwarded": "for=x"}])
def test_who_comes_from_a_named_proxy_that_names_nobody_is_nobody(peer: str, headers: dict[str, str]) -> None:
    assert status_of(AccessControl(Tokens(None), PROXIES), peer, {**LOCAL, **headers}) == 403


def test_list_of_more_proxies_than_anybody_has_names_nobody() -> None:
    hops = ", ".join(["127.0.0.1"] * 100)
    access = AccessControl(Tokens(None), PROXIES)
    assert status_of(access, "127.0.0.1", {**LOCAL, "X-Forwarded-For": hops}) == 403
    assert status_of(access, "127.0.0.1", {**LOCAL, "X-Forwarded-For": f"{hops}, 192.0.2.1"}) == 403


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_proxy_that_is_not_named_does_not_make_strangers_local(header: str) -> None:
    assert status_of(AccessControl(Tokens(None)), "127.0.0.1", {**LOCAL, header: "127.0.0.1"}) == 403


def test_tokens_follow_their_file(file: Path) -> None:
    tokens = Tokens(file)
    file.write_text("new:another-token-of-ours\n")
    assert tokens.name_of("another-token-of-ours") == "new"
    assert tokens.name_of(TOKEN) is None
    file.write_text("broken\n")
    assert tokens.name_of("another-token-of-ours") == "new"


@pytest.mark.parametrize("text", ["short:abc\n", "no colon\n", ":0123456789abcdef0123\n"])
def test_bad_file_of_tokens_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"\n{text}")
    with pytest.raises(ConfigError, match=r"tokens:2: not NAME:TOKEN"):
        Tokens(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        Tokens(tmp_path / "missing")
