"""`gantry.common.web.overrides`: a token of one process, in a header or a cookie, at another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gantry.common.access import NOTHING, CallerRole, Identity, Means, role_table
from gantry.common.access.overrides import Override
from gantry.common.clock import ManualClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.common.web.access import AccessControl, Caller, Tokens
from gantry.common.web.overrides import HEADER, SealedOverrides, sealed_overrides_of

URL = "https://archive.example"
JANE = Identity("s1", "sso:jane", Means.ISSUER, frozenset((CallerRole.REFERRER,)), issuer="sso")
STUDY = Override("1.2.3")


class Process:
    """One process of an installation."""

    def __init__(self, file: Path, url: str = URL, now_us: int = 10**15) -> None:
        self.clock = ManualClock(now_us)
        self.overrides = SealedOverrides(file, url, 60.0, self.clock)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    file.write_text("1" * 32 + "\n")
    return file


@pytest.mark.parametrize("url", [URL, ""])
def test_header_and_cookie_of_one_process_count_at_another(keys: Path, url: str) -> None:
    begun = Process(keys, url).overrides.begun(STUDY, (), JANE)
    there = Process(keys, url)
    cookie = begun.cookie.partition(";")[0]
    assert cookie.startswith("__Host-gantry-override=" if url else "gantry-override=")
    for attribute in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=60"):
        assert attribute in begun.cookie
    for headers in ({HEADER: begun.token}, {"Cookie": cookie}):
        assert there.overrides.of(headers, JANE) == (begun.override,)
        assert there.overrides.of(headers, replace(JANE, subject="s2")) == ()
    assert there.overrides.of({}, JANE) == ()
    there.clock.advance(61)
    assert there.overrides.of({HEADER: begun.token}, JANE) == ()


def test_header_counts_before_a_cookie(keys: Path) -> None:
    process = Process(keys)
    one, other = (process.overrides.begun(Override(uid), (), JANE) for uid in ("1.2.3", "1.2.4"))
    headers = {HEADER: one.token, "Cookie": other.cookie.partition(";")[0]}
    assert process.overrides.of(headers, JANE) == (one.override,)


def test_other_secrets_or_another_place_open_nothing(keys: Path, tmp_path: Path) -> None:
    token = Process(keys).overrides.begun(STUDY, (), JANE).token
    other = tmp_path / "other"
    other.write_text("2" * 32)
    for there in (Process(other), Process(keys, "https://other.example"), Process(keys, "")):
        assert there.overrides.of({HEADER: token}, JANE) == ()
    process = Process(keys)
    for changed in (token[:-1], token + "A", "x", "a.b.c.d.e", "x" * 100_000):
        assert process.overrides.of({HEADER: changed}, JANE) == ()
    keys.write_text("3" * 32)  # that is how all are taken back
    assert process.overrides.of({HEADER: token}, JANE) == ()


def test_those_that_stand_go_on_until_their_own_time(keys: Path) -> None:
    process = Process(keys)
    first = process.overrides.begun(STUDY, (), JANE)
    process.clock.advance(30)
    standing = process.overrides.of({HEADER: first.token}, JANE)
    both = process.overrides.begun(Override("", "P1", "H"), standing, JANE)
    assert [one.kind for one in process.overrides.of({HEADER: both.token}, JANE)] == ["patient", "study"]
    process.clock.advance(31)
    assert [one.kind for one in process.overrides.of({HEADER: both.token}, JANE)] == ["patient"]


def test_the_oldest_go_where_a_cookie_has_no_room(keys: Path) -> None:
    process = Process(keys)
    standing: tuple[Override, ...] = ()
    for number in range(8):
        widest = Override("", f"{number}" + "\U0001f600" * 63, "\U0001f600" * 64)
        begun = process.overrides.begun(widest, standing, JANE)
        assert len(begun.token) <= 4096
        standing = process.overrides.of({HEADER: begun.token}, JANE)
        assert standing[0] == begun.override
    assert 1 <= len(standing) < 8


def test_browser_forgets_them(keys: Path) -> None:
    assert Process(keys).overrides.gone().startswith("__Host-gantry-override=; Path=/; Max-Age=0")


ROLES = {"referrer": True, "patient": False}


@pytest.mark.parametrize("role", ROLES)
def test_role_that_may_not_override_is_not_helped_by_a_token(keys: Path, tmp_path: Path, role: str) -> None:
    """Also one that might when it began."""
    file = tmp_path / "tokens"
    file.write_text(f"him:0123456789abcdef roles={role}\n")
    process = Process(keys)
    identity = Identity("him", "him", Means.TOKEN)
    token = process.overrides.begun(STUDY, (), identity).token
    table = role_table(["referrer=read,override"])
    access = AccessControl(Tokens(file), table=table, overrides=process.overrides)

    def asking(**headers: str) -> Caller:
        return access.admit("192.0.2.1", {"Authorization": "Bearer 0123456789abcdef", **headers})

    assert asking().sight == NOTHING
    assert (asking(**{HEADER: token}).sight != NOTHING) is ROLES[role]
    assert [one.study for one in asking(**{HEADER: token}).overrides] == ["1.2.3"] * ROLES[role]
    assert (
        not AccessControl(Tokens(file), table=table)
        .admit("192.0.2.1", {"Authorization": "Bearer 0123456789abcdef"})
        .overrides
    )


def test_settings_make_overrides_or_say_what_is_missing(keys: Path) -> None:
    clock = ManualClock(0)

    def made(**more: object) -> SealedOverrides | None:
        return sealed_overrides_of(Settings.model_validate(more), clock)

    assert made() is None
    access = {"override_key_file": str(keys), "override_minutes": 2}
    overrides = made(access=access)
    assert overrides is not None
    assert overrides.begun(STUDY, (), JANE).override.until == 120.0
    with pytest.raises(ConfigError, match="audit"):
        made(access=access, audit={"on": False})
    keys.unlink()
    with pytest.raises(ConfigError):
        made(access=access)
