"""The partitions of a door: the settings file of each, and the settings that two of them must not share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gantry.common.config.door_sections import PartitionSettings
from gantry.common.config.load import load_settings
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.common.web.tokens import tokens_in
from gantry.services.frontdoor.partitions import Partition

_NAMED = {"kafka": "gantry", "opensearch": "gantry"}
"""Stores whose URL has a prefix of names in its path, and the default prefix."""


@dataclass(frozen=True, slots=True)
class Shared:
    """One partition: its signs, its settings at the door, and how many associations it may have at once (None: as many
    as the door)."""

    signs: Partition
    settings: Settings
    most: int | None


def shared_of(settings: Settings) -> list[Shared]:
    """The partitions of `settings.door`, with their files read; empty if the door has one archive. Raises
    `ConfigError`."""
    partitions: list[Shared] = []
    for partition in settings.door.partitions:
        theirs = load_settings(partition.settings, {})
        _refuse_wrong(partition, theirs)
        _refuse_shared_keys(partition, theirs, partitions)
        _refuse_shared_stores(partition, theirs, partitions)
        signs = Partition(
            partition.name,
            theirs.dimse.ae_title,
            partition.networks,
            frozenset(partition.certificates),
            frozenset(partition.hosts),
            partition.path or "",
        )
        partitions.append(Shared(signs, _at_the_door(theirs, settings), partition.max_associations))
    return partitions


def _at_the_door(theirs: Settings, ours: Settings) -> Settings:
    """The settings of a partition, adapted to the door: the trusted proxies are those of the door, since the services
    have the door itself as a proxy, and this machine has no rights without a token."""
    http = theirs.http.model_copy(update={"proxy_from": ours.http.proxy_from})
    return theirs.model_copy(update={"http": http, "lab": ours.lab and theirs.lab})


def _refuse_wrong(partition: PartitionSettings, theirs: Settings) -> None:
    if theirs.door.partitions:
        raise ConfigError(str(partition.settings), None, "a partition has no partitions")
    if (
        partition.path is not None
        and urlsplit(theirs.http.url or "").path.rstrip("/") != partition.path
        and not (theirs.http.url and urlsplit(theirs.http.url).hostname in partition.hosts)
    ):
        reason = (
            f"http.url must end with {partition.path}, the path of partition {partition.name}, or name one of its hosts"
        )
        raise ConfigError(str(partition.settings), None, f"{reason}: answers contain URLs")


def _secrets(settings: Settings) -> dict[str, Path | None]:
    """The secret files that two organisations must not share: a caller known at one would be known at the other."""
    return {
        "encryption.key_file": settings.encryption.key_file,
        "door.key_file": settings.door.key_file,
        "http.tokens_file": settings.http.tokens_file,
        "login.session_key_file": settings.login.session_key_file,
        "sharing.key_file": settings.sharing.key_file,
        "access.override_key_file": settings.access.override_key_file,
        "access.users_file": settings.access.users_file,
        "subscriptions.key_file": settings.subscriptions.key_file,
    }


def _refuse_shared_keys(partition: PartitionSettings, theirs: Settings, before: list[Shared]) -> None:
    """Refuse shared secret files. Two files are the same if they have the same path, or, if the door can read both, a
    common secret: each secret in a file has the same power."""
    for other in before:
        of_other = _secrets(other.settings)
        for name, file in _secrets(theirs).items():
            also = of_other[name]
            if file is None or also is None:
                continue
            if file.absolute() == also.absolute() or _secrets_in(name, file) & _secrets_in(name, also):
                reason = f"partitions {other.signs.name} and {partition.name} share {name}, or a secret in it: {file}"
                raise ConfigError(str(partition.settings), None, reason)


def _secrets_in(name: str, file: Path) -> frozenset[object]:
    """The secrets in a file; empty if it cannot be read or understood here, which its user reports. A file of users
    counts as a whole: users without a passcode may have the same name in two files."""
    try:
        if name == "http.tokens_file":
            return frozenset(tokens_in(file))
        text = file.read_text(encoding="utf-8").strip()
    except (ConfigError, OSError, UnicodeError):
        return frozenset()
    if name == "access.users_file":
        return frozenset([text] if text else [])
    lines = (line.strip() for line in text.splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _refuse_shared_stores(partition: PartitionSettings, theirs: Settings, before: list[Shared]) -> None:
    """Refuse stores that overlap: erasing one organisation's data must not erase another's."""
    for other in before:
        for kind in ("objects", "log", "index"):
            for mine in _places(theirs, kind):
                for others in _places(other.settings, kind):
                    if _overlap(mine, others):
                        reason = f"storage.{kind} of partitions {other.signs.name} and {partition.name} overlap"
                        raise ConfigError(str(partition.settings), None, f"{reason}: {others[1]}, {mine[1]}")


def _places(settings: Settings, kind: str) -> list[tuple[str, str]]:
    """The locations of a store, each with the server if its URL does not name one; objects are in `tiers.stores`,
    too."""
    if kind != "objects":
        return [("", settings.log_url if kind == "log" else settings.index_url)]
    urls = [settings.objects_url, *(store.url for store in settings.tiers.stores)]
    return [(settings.s3.endpoint or "", url) for url in urls]


def _overlap(place: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two places are the same, or one is within the other. Servers of a cluster may be in any order."""
    first, second = urlsplit(place[1]), urlsplit(other[1])
    if first.scheme == "s3" and place[0] != other[0]:
        return False
    servers = [set(url.netloc.split(",")) for url in (first, second)]
    if first.scheme != second.scheme or servers[0].isdisjoint(servers[1]):
        return False
    if first.scheme in _NAMED:
        return (first.path.strip("/") or _NAMED[first.scheme]) == (second.path.strip("/") or _NAMED[first.scheme])
    paths = [[part for part in url.path.split("/") if part] for url in (first, second)]
    shorter = min(len(path) for path in paths)
    return paths[0][:shorter] == paths[1][:shorter]
