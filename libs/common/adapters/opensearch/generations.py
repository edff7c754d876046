"""Indices and their aliases: created if missing, rebuilt beside the live ones, swapped at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

from gantry.common.adapters.opensearch.client import DEPENDENCY, OpenSearchClient
from gantry.common.adapters.opensearch.cluster import KINDS, LEVELS, OpenSearchCluster
from gantry.common.adapters.opensearch.schema import VERSION, mappings_of, table_of, template_of
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.errors import ConfigError, DependencyUnavailable

_NAME = re.compile(r".*-v(\d+)-(\d{6})")
Names = Mapping[str, str]
"""The index of each kind."""


class Generations:
    """The generations of one installation's indices."""

    def __init__(self, client: OpenSearchClient, cluster: OpenSearchCluster) -> None:
        self._client = client
        self._cluster = cluster

    async def ensure(self, table: AttributeTable, *, any_version: bool) -> None:
        """Create templates, and a first generation for `table` if there is none. Raises `ConfigError` if the live one
        has another version's mappings, unless that is wanted: then it stays as it is."""
        await self._ensure_templates()
        known = await self._aliases()
        if (other := _of_another_version(known)) and any_version:
            return
        if other:
            raise ConfigError("storage.index", None, f"{other}: run `gantry reindex`")
        missing = [kind for kind in KINDS if kind not in known]
        await asyncio.gather(*(self._make(kind, 1, {self._cluster.alias(kind): {}}, table) for kind in missing))

    async def _ensure_templates(self) -> None:
        """Each is written only if it differs from the server's: a write changes the state of the whole cluster, and
        processes start often."""
        path = f"/_index_template/{self._cluster.alias('*')}-v{VERSION}"
        answer = await self._client.request("GET", path, absent=(404,)) or {}
        digests = {entry["name"]: entry["index_template"].get("_meta") for entry in answer.get("index_templates", ())}
        templates = {f"{self._cluster.alias(kind)}-v{VERSION}": template_of(kind, self._cluster) for kind in KINDS}
        await asyncio.gather(
            *(
                self._client.request("PUT", f"/_index_template/{name}", template)
                for name, template in templates.items()
                if digests.get(name) != template["_meta"]
            )
        )

    async def live(self) -> dict[str, str]:
        """The indices that the aliases name now, all of them writable by us. Raises `DependencyUnavailable` if one is
        missing or has another version's mappings: then a process of that version has rebuilt it while we ran."""
        known = await self._aliases()
        if other := _of_another_version(known):
            raise DependencyUnavailable(DEPENDENCY, f"{other}: it was rebuilt for another release than this one")
        return self._complete(known, KINDS)

    async def table(self, index: str) -> AttributeTable:
        """The table that an index was made for; for an alias, that of the index that it names now."""
        answer = await self._client.request("GET", f"/{index}/_mapping")
        return table_of(next(iter(answer.values()))["mappings"])

    async def make_next(self, table: AttributeTable) -> dict[str, str]:
        """An empty generation for `table`, beside the live one; the remains of an earlier try are removed."""
        live = set((await self.replaceable()).values())
        numbers = [_number(index) for index in live]
        for index in await self._indices():
            if index not in live:
                await self.remove([index])
                numbers.append(_number(index))
        number = max(numbers) + 1
        indices = await asyncio.gather(*(self._make(kind, number, {}, table) for kind in KINDS))
        return dict(zip(KINDS, indices, strict=True))

    async def replaceable(self) -> dict[str, str]:
        """The indices that the aliases name now, of any version: earlier ones did not have all kinds."""
        return self._complete(await self._aliases(), LEVELS)

    async def swap(self, old: Names, new: Names) -> None:
        """Switch the aliases to the new indices, for all processes at the same moment."""
        actions: list[dict[str, dict[str, object]]] = []
        for kind in KINDS:
            alias = self._cluster.alias(kind)
            if kind in old:
                actions.append({"remove": {"index": old[kind], "alias": alias, "must_exist": True}})
            actions.append({"add": {"index": new[kind], "alias": alias}})
        await self._client.request("POST", "/_aliases", {"actions": actions})

    async def remove(self, indices: list[str]) -> None:
        """Remove indices; succeeds for those already gone."""
        await self._client.request("DELETE", f"/{','.join(indices)}", ignore_unavailable="true")

    def _complete(self, known: dict[str, str], kinds: Sequence[str]) -> dict[str, str]:
        for kind in kinds:
            if kind not in known:
                raise DependencyUnavailable(DEPENDENCY, f"no index is called {self._cluster.alias(kind)}")
        return known

    async def _aliases(self) -> dict[str, str]:
        aliases = {self._cluster.alias(kind): kind for kind in KINDS}
        # By a pattern: if one of several names is missing, a server does not return the others.
        answer = await self._client.request("GET", f"/_alias/{self._cluster.alias('*')}", absent=(404,)) or {}
        return {
            aliases[alias]: index
            for index, description in answer.items()
            if isinstance(description, dict)
            for alias in description.get("aliases", ())
            if alias in aliases
        }

    async def _indices(self) -> list[str]:
        patterns = ",".join(f"{self._cluster.alias(kind)}-v*" for kind in KINDS)
        answer = await self._client.request("GET", f"/_cat/indices/{patterns}", format="json", h="index")
        return [row["index"] for row in answer if _NAME.fullmatch(row["index"])]

    async def _make(self, kind: str, number: int, aliases: dict[str, dict[str, str]], table: AttributeTable) -> str:
        index = f"{self._cluster.alias(kind)}-v{VERSION}-{number:06}"
        # 400: another process was first.
        await self._client.request(
            "PUT", f"/{index}", {"aliases": aliases, "mappings": mappings_of(kind, table)}, absent=(400,)
        )
        return index


def _of_another_version(known: Names) -> str:
    """The message about live indices with another version's mappings; "" if there are none."""
    return next(
        (f"index of {k} has version {_version(i)}, not {VERSION}" for k, i in known.items() if _version(i) != VERSION),
        "",
    )


def _version(index: str) -> int:
    match = _NAME.fullmatch(index)
    return int(match[1]) if match else 0


def _number(index: str) -> int:
    match = _NAME.fullmatch(index)
    return int(match[2]) if match else 0
