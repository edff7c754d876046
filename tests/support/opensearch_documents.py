"""The content of all documents on OpenSearch, for tests that search for data which must not be there."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

from tests.support.servers import required

_PAGE = 1000


def ask(method: str, path: str, body: Any = None) -> Any:
    """The answer of the session's server."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(f"{required('opensearch').address}{path}", data, {"Content-Type": "application/json"})
    request.method = method
    with urlopen(request) as answer:
        return json.load(answer)


def bytes_of_documents(prefix: str) -> bytes:
    """The sources of all documents of all indices with a prefix, live or not; packed values also unpacked."""
    ask("POST", f"/{prefix}-*/_refresh")
    answer = ask("POST", f"/{prefix}-*/_search?scroll=1m", {"size": _PAGE, "query": {"match_all": {}}})
    content = b""
    while hits := answer["hits"]["hits"]:
        content += json.dumps(hits).encode()
        content += b"".join(_unpacked(text) for hit in hits for text in _texts(hit["_source"]))
        answer = ask("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": answer["_scroll_id"]})
    return content


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _unpacked(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""


def deleted_documents(prefix: str) -> set[str]:
    """How many deleted documents the files of each index hold after they are rid of them (docs/lifecycle.md)."""
    ask("POST", f"/{prefix}-*/_flush")
    ask("POST", f"/{prefix}-*/_forcemerge?only_expunge_deletes=true")
    rows = ask("GET", f"/_cat/indices/{prefix}-*?format=json&h=index,docs.deleted")
    return {row["docs.deleted"] for row in rows}
