"""Indices and their aliases: made where they are missing, built anew beside the live ones, swapped at once."""

from __future__ import annotations

import re
from collections.abc import Mapping

from libs.common.adapters.opensearch.client import DEPENDENCY, Client
from libs.common.adapters.opensearch.cluster import KINDS, OpenSearchCluster
from libs.common.adapters.opensearch.schema import VERSION, mappings_of, table_of, template_of
from libs.common.dicom.attributes import AttributeTable
from libs.common.errors import ConfigError, DependencyUnavailable

_NAME = re.compile(r".*-v(\d+)-(\d{6})")
Names = Mapping[str, str]
"""The index of each kind."""


class Generations:
    """The generations of one installation's indices."""

    def __init__(self, client: Client, cluster: OpenSearchCluster) -> None:
        self._client = client
        self._cluster = cluster

    async def ensure(self, table: AttributeTable) -> None:
        """Templates, and a first generation for `table` where there is none. Raises `ConfigError` where
        the live one has another version's mappings."""
        for kind in KINDS:
            name = f"{self._cluster.alias(kind)}-v{VERSION}"
            await self._client.request("PUT", f"/_index_template/{name}", template_of(kind, self._cluster))
        known = await self._aliases()
        for kind in KINDS:
            if kind not in known:
                await self._make(kind, 1, {self._cluster.alias(kind): {}}, table)
        for kind, index in (await self.live()).items():
            if _version(index) != VERSION:
                reason = f"index of {kind} has version {_version(index)}, not {VERSION}: run `gantry reindex`"
                raise ConfigError("storage.index", None, reason)

    async def live(self) -> dict[str, str]:
        """What the aliases name now. Raises `DependencyUnavailable` where one is missing."""
        known = await self._aliases()
        for kind in KINDS:
            if kind not in known:
                raise DependencyUnavailable(DEPENDENCY, f"no index is called {self._cluster.alias(kind)}")
        return known

    async def table(self, index: str) -> AttributeTable:
        """What an index was made for; of an alias, the index that it names now."""
        answer = await self._client.request("GET", f"/{index}/_mapping")
        return table_of(next(iter(answer.values()))["mappings"])

    async def make_next(self, table: AttributeTable) -> dict[str, str]:
        """An empty generation for `table`, beside the live one; what an earlier try left is removed."""
        live = set((await self.live()).values())
        numbers = [_number(index) for index in live]
        for index in await self._indices():
            if index not in live:
                await self.remove([index])
                numbers.append(_number(index))
        number = max(numbers) + 1
        return {kind: await self._make(kind, number, {}, table) for kind in KINDS}

    async def swap(self, old: Names, new: Names) -> None:
        """The aliases name the new indices from one moment to the next, for everybody."""
        actions = []
        for kind in KINDS:
            alias = self._cluster.alias(kind)
            actions.append({"remove": {"index": old[kind], "alias": alias, "must_exist": True}})
            actions.append({"add": {"index": new[kind], "alias": alias}})
        await self._client.request("POST", "/_aliases", {"actions": actions})

    async def remove(self, indices: list[str]) -> None:
        """Remove indices; those that are gone already are satisfied."""
        await self._client.request("DELETE", f"/{','.join(indices)}", ignore_unavailable="true")

    async def _aliases(self) -> dict[str, str]:
        aliases = {self._cluster.alias(kind): kind for kind in KINDS}
        answer = await self._client.request("GET", f"/_alias/{','.join(aliases)}", absent=(404,)) or {}
        return {
            aliases[alias]: index
            for index, found in answer.items()
            if isinstance(found, dict)
            for alias in found.get("aliases", ())
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


def _version(index: str) -> int:
    match = _NAME.fullmatch(index)
    return int(match[1]) if match else 0


def _number(index: str) -> int:
    match = _NAME.fullmatch(index)
    return int(match[2]) if match else 0
