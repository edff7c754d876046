"""What every key service promises (libs/common/ports/keys.py): a file, and AWS KMS's API by a server that speaks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gantry.common.adapters.key_file import KeyFile, line_of
from gantry.common.adapters.kms import Kms, KmsKey
from gantry.common.errors import ConfigError, Corrupt, DependencyUnavailable, KeyWithheld
from gantry.common.ports.keys import KeyService
from gantry.services.process.key_services import add_key
from tests.support.key_server import KeyServer

Administer = Callable[[], Awaitable[None]]


@dataclass
class Kept:
    """A key service, and what its administrator does with it."""

    service: KeyService
    replace: Administer
    """Another key becomes the current one; the one before stays."""
    withdraw: Administer
    """The first key is taken away."""


@pytest.fixture(scope="module")
def key_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    with KeyServer(tmp_path_factory.mktemp("kms")) as server:
        yield server


def _by_file(folder: Path) -> Kept:
    file = folder / "keys"
    add_key(file, "first")

    async def replace() -> None:
        add_key(file, "second")

    async def withdraw() -> None:
        file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("first ")))

    return Kept(KeyFile(file), replace, withdraw)


async def _by_kms(server: KeyServer, alias: str) -> Kept:
    first = await server.make_key(alias)

    async def replace() -> None:
        second = await server.make_key()
        await server.call("update_alias", AliasName=alias, TargetKeyId=second.rpartition("/")[2])

    async def withdraw() -> None:
        await server.call("disable_key", KeyId=first)

    return Kept(Kms(server.key(alias)), replace, withdraw)


@pytest.fixture(params=["file", "kms"])
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kept]:
    if request.param == "file":
        made = _by_file(tmp_path)
    else:
        made = await _by_kms(request.getfixturevalue("key_server"), f"alias/{tmp_path.name}")
    yield made
    await made.service.close()
    await made.service.close()


async def test_what_was_wrapped_opens_with_its_purpose(kept: Kept) -> None:
    new, other = await kept.service.new("one"), await kept.service.new("one")
    assert len(new.plain) == 32
    assert new.plain != other.plain
    assert new.plain not in new.wrapped
    assert new.wrapping_key == await kept.service.current()
    assert await kept.service.open(new.wrapped, new.wrapping_key, "one") == new.plain


async def test_what_was_changed_or_is_for_something_else_does_not_open(kept: Kept) -> None:
    new = await kept.service.new("one")
    changed = bytearray(new.wrapped)
    changed[-1] ^= 1
    with pytest.raises((Corrupt, DependencyUnavailable)):
        await kept.service.open(bytes(changed), new.wrapping_key, "one")
    with pytest.raises((Corrupt, DependencyUnavailable)):
        await kept.service.open(new.wrapped, new.wrapping_key, "another")


async def test_another_key_becomes_current_and_the_one_before_still_opens(kept: Kept) -> None:
    before = await kept.service.new("one")
    await kept.replace()
    after = await kept.service.new("one")
    assert after.wrapping_key == await kept.service.current() != before.wrapping_key
    assert await kept.service.open(before.wrapped, before.wrapping_key, "one") == before.plain
    wrapped, name = await kept.service.wrap_anew(before.wrapped, before.wrapping_key, "one")
    assert name == after.wrapping_key
    assert await kept.service.open(wrapped, name, "one") == before.plain


async def test_a_key_that_was_withdrawn_is_withheld_which_nobody_takes_for_damage(kept: Kept) -> None:
    before = await kept.service.new("one")
    await kept.replace()
    wrapped, name = await kept.service.wrap_anew(before.wrapped, before.wrapping_key, "one")
    await kept.withdraw()
    with pytest.raises(KeyWithheld):
        await kept.service.open(before.wrapped, before.wrapping_key, "one")
    assert await kept.service.open(wrapped, name, "one") == before.plain


async def test_a_server_that_is_away_is_a_dependency_that_is_away(key_server: KeyServer) -> None:
    service = Kms(key_server.key("alias/x", deadline=2.0))
    try:
        with pytest.raises(KeyWithheld, match="NotFoundException"):
            await service.new("one")
        key_server.stop()
        with pytest.raises(DependencyUnavailable, match="key service") as away:
            await service.new("one")
        assert not isinstance(away.value, KeyWithheld)
    finally:
        key_server.start()
        await service.close()


async def test_nobody_listens_there() -> None:
    service = Kms(KmsKey("alias/x", "eu-central-1", "http://127.0.0.1:9", "a", "b", deadline=5.0))
    with pytest.raises(DependencyUnavailable, match="key service"):
        await service.current()
    await service.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no key"),
        ("# only words\n", "there is no key"),
        ("a c2hvcnQ=\n", ":1: a line is a name and a key of 32 bytes"),
        ("a\n", ":1: a line is a name"),
        ("x" * 65 + " " + "A" * 43 + "=\n", ":1: a line is a name"),
    ],
)
def test_a_file_with_a_mistake_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ConfigError) as refused:
        KeyFile(tmp_path / "keys")
    assert words in str(refused.value)


async def test_new_keys_with_a_mistake_leave_those_in_force(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(line_of("a"))
    service = KeyFile(file)
    new = await service.new("one")
    file.write_text("not a key\n")
    assert await service.open(new.wrapped, "a", "one") == new.plain
    file.unlink()
    assert await service.current() == "a"
