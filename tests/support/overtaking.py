"""Runs all of one OpenSearch writer's work between two requests of another writer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gantry.common.adapters.opensearch import OpenSearchIndex
from gantry.common.adapters.opensearch.client import OpenSearchClient
from tests.support.long import HOW_MUCH


def next_point(point: int) -> int:
    """The request to test after this one: the next; in a short run all of the first ones, then every fourth."""
    return point + (1 if HOW_MUCH == "long" or point < 4 else 4)


async def overtaken(
    slow: OpenSearchIndex,
    work: Callable[[], Awaitable[object]],
    fast: Callable[[], Awaitable[object]],
    point: int,
    monkeypatch: pytest.MonkeyPatch,
) -> bool:
    """Do the `work` of the slow writer, and all of `fast` before its request number `point`, or at the end if it has
    fewer requests. Returns whether it had so many."""
    request = OpenSearchClient.request
    count = 0

    async def counted(client: OpenSearchClient, method: str, path: str, *arguments: Any, **more: Any) -> Any:
        nonlocal count
        # A refresh neither reads nor writes.
        if client is slow._client and path.endswith(("_mget", "_search", "_bulk")):
            count += 1
            if count == point + 1:
                await fast()
        return await request(client, method, path, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(OpenSearchClient, "request", counted)
        await work()
    if count > point:
        return True
    await fast()
    return False
