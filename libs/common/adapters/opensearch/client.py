"""The few requests that we make, and what a refusal means to a caller of the index: decided only here."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from opensearchpy import AsyncOpenSearch
from opensearchpy.exceptions import OpenSearchException, SerializationError, TransportError

from gantry.common.adapters.opensearch.cluster import OpenSearchCluster
from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.telemetry.spans import step

DEPENDENCY = "index"
KEEP_ALIVE = "5m"
"""How long a listing may pause between two pages: a peer that takes longer than that to read one has gone."""
_ROUNDS = 20
"""Most races lost in a row; more mean that something else is wrong."""
_PAUSE_SECONDS = 0.05
# Every refusal is raised, and logged by its caller.
logging.getLogger("opensearch").setLevel(logging.CRITICAL)
_MGET = 2000
_BULK_BYTES = 8 << 20
_IN_WORDS = {
    "cluster_block_exception": "it takes no writes (read-only: is a disk full?)",
    "index_not_found_exception": "an index of ours is not there",
    "security_exception": "access denied: check user name and password",
    "rejected_execution_exception": "it has more to do than it can",
}


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A document as it is stored now; `source` is None if there is none."""

    source: dict[str, Any] | None
    seq_no: int = -1
    primary_term: int = 0


ABSENT = SearchResult(None)


@dataclass(frozen=True, slots=True)
class BulkOperation:
    """A line of a bulk request: `action` with its address, and its body."""

    action: str
    index: str
    id: str
    body: Mapping[str, Any]
    found: SearchResult | None = None
    """The document when the body was made; it must be unchanged when the body is written."""

    def lines(self) -> str:
        """The lines to send."""
        action, head = self.action, {"_index": self.index, "_id": self.id}
        more: dict[str, Any] = {}
        if self.found is not None and self.found.source is None:
            action = "create"
        elif self.found is not None:
            more = {"if_seq_no": self.found.seq_no, "if_primary_term": self.found.primary_term}
        elif action == "update":
            more = {"retry_on_conflict": 5}
        line = f"{json.dumps({action: {**head, **more}})}\n"
        return line if action == "delete" else f"{line}{json.dumps(self.body)}\n"


@dataclass(frozen=True, slots=True)
class OperationResult:
    """The result of an operation: done, in conflict with another process's write, or refused for good."""

    done: bool
    conflict: bool = False
    seq_no: int = -1
    primary_term: int = 0
    refusal: str = ""


class OpenSearchClient:
    """A connection pool to the cluster."""

    def __init__(self, cluster: OpenSearchCluster) -> None:
        scheme = "https" if cluster.tls is not None else "http"
        options: dict[str, Any] = {"ssl_context": cluster.tls} if cluster.tls is not None else {}
        self._cluster = cluster
        self._client = AsyncOpenSearch(
            hosts=[f"{scheme}://{host}" for host in cluster.hosts],
            timeout=cluster.deadline,
            maxsize=cluster.connections,
            max_retries=2,
            retry_on_status=(),  # we check a bulk request that was partly done
            **options,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def request(
        self, method: str, path: str, body: Any = None, *, absent: Collection[int] = (), **parameters: str
    ) -> Any:
        """The answer to a request; None for a status in `absent`. Raises `DependencyUnavailable`."""
        try:
            with step("OpenSearch", operation=path.rpartition("/")[2].lstrip("_") if "/_" in path else "document"):
                return await self._client.transport.perform_request(
                    method, path, params=parameters or None, body=body, headers=self._cluster.signed_in()
                )
        except TransportError as error:
            if error.status_code in absent:
                return None
            raise _unavailable(error) from error
        except (OpenSearchException, SerializationError, OSError) as error:
            raise DependencyUnavailable(DEPENDENCY, type(error).__name__) from error

    async def search(self, index: str | None, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a search; `index` is None if the body names a point in time. Incomplete answers are errors."""
        path = f"/{index}/_search" if index is not None else "/_search"
        answer: dict[str, Any] = await self.request("POST", path, body)
        if answer["_shards"]["failed"] or answer["timed_out"]:
            raise DependencyUnavailable(DEPENDENCY, "a part of it did not answer")
        return answer

    async def get(
        self, index: str, ids: Sequence[str], source: Sequence[str], *, as_searched: bool = False
    ) -> dict[str, SearchResult]:
        """Documents by id, of each the fields named in `source`: as they are at this moment, or `as_searched`: as a
        search sees them."""
        results: dict[str, SearchResult] = {}
        for start in range(0, len(ids), _MGET):
            batch = list(ids[start : start + _MGET])
            path, realtime = f"/{index}/_mget", "false" if as_searched else "true"
            answer = await self.request("POST", path, {"ids": batch}, _source=",".join(source), realtime=realtime)
            for doc in answer["docs"]:
                if "error" in doc:
                    raise DependencyUnavailable(DEPENDENCY, _words(doc["error"]))
                if doc["found"]:
                    results[doc["_id"]] = SearchResult(doc["_source"], doc["_seq_no"], doc["_primary_term"])
        return results

    async def bulk(self, operations: Iterable[BulkOperation]) -> list[OperationResult]:
        """Write the operations. Returns one result each, in order. Raises `DependencyUnavailable` if one could not be
        tried: others may have been done even then."""
        written: list[OperationResult] = []
        waiting: list[str] = []
        size = 0
        for operation in operations:
            line = operation.lines()
            if waiting and size + len(line) > _BULK_BYTES:
                written += await self._bulk(waiting)
                waiting, size = [], 0
            waiting.append(line)
            size += len(line)
        return written + await self._bulk(waiting)

    async def _bulk(self, lines: list[str]) -> list[OperationResult]:
        if not lines:
            return []
        answer = await self.request("POST", "/_bulk", "".join(lines), absent=(400, 413))
        if answer is not None:
            return [_written(next(iter(item.values()))) for item in answer["items"]]
        # One operation made the server refuse all (an invalid id, a body that is too long): find it, and write the
        # others.
        if len(lines) == 1:
            return [OperationResult(False, refusal="the server refuses the request")]
        middle = len(lines) // 2
        return await self._bulk(lines[:middle]) + await self._bulk(lines[middle:])

    async def refresh(self, *indices: str) -> None:
        """Make all writes visible to every search from now on."""
        answer = await self.request("POST", f"/{','.join(indices)}/_refresh")
        if answer["_shards"]["failed"]:
            raise DependencyUnavailable(DEPENDENCY, "a part of it could not be refreshed")

    @asynccontextmanager
    async def point_in_time(self, index: str) -> AsyncIterator[dict[str, str]]:
        """The `pit` of searches that all see the same."""
        answer = await self.request("POST", f"/{index}/_search/point_in_time", keep_alive=KEEP_ALIVE)
        pit = {"id": answer["pit_id"], "keep_alive": KEEP_ALIVE}
        try:
            yield pit
        finally:
            with suppress(DependencyUnavailable):  # it ends by itself
                await self.request("DELETE", "/_search/point_in_time", {"pit_id": [pit["id"]]})


async def rounds(clock: Clock) -> AsyncIterator[int]:
    """One round after the other for a writer that loses races against others, with growing random pauses between them.
    Raises `DependencyUnavailable` after too many rounds."""
    for number in range(_ROUNDS):
        if number:
            await clock.sleep(random.uniform(0, _PAUSE_SECONDS * number))
        yield number
    raise DependencyUnavailable(DEPENDENCY, "too many writers at once")


def _written(item: Mapping[str, Any]) -> OperationResult:
    status, error = item["status"], item.get("error")
    if error is None:
        return OperationResult(True, seq_no=item["_seq_no"], primary_term=item["_primary_term"])
    if status == 409:
        return OperationResult(False, conflict=True)
    # Blocked (403, 429), overwhelmed (429), gone (404) or broken (5xx): another time.
    if status in (403, 404, 408, 429) or status >= 500:
        raise DependencyUnavailable(DEPENDENCY, _words(error))
    return OperationResult(False, refusal=_words(error))


def _unavailable(error: TransportError) -> DependencyUnavailable:
    if error.status_code == "N/A":
        return DependencyUnavailable(DEPENDENCY, f"no answer ({type(error).__name__})")
    info = error.info if isinstance(error.info, Mapping) else {}
    return DependencyUnavailable(DEPENDENCY, f"the server answered {error.status_code}: {_words(info.get('error'))}")


def _words(error: Any) -> str:
    """The text of an error, without values of documents."""
    if not isinstance(error, Mapping):
        return "without saying why"
    kind = str(error.get("type", "error"))
    return _IN_WORDS.get(kind, kind)
