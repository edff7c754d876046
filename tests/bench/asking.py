"""Cheap clients of DICOMweb: connections stay open, and answers are not parsed."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)

    def get(self, path: str, accept: str) -> bytes:
        self._connection.request("GET", path, headers={"Accept": accept})
        response = self._connection.getresponse()
        body = response.read()
        if response.status not in (200, 204):
            raise RuntimeError(f"{path}: {response.status} {body[:300]!r}")
        return body

    def timed(self, path: str, accept: str, holding: bytes = b"", least: int = 0) -> float:
        """Seconds until the whole answer is here; it has to hold these bytes, and at least so many."""
        begun = time.perf_counter()
        body = self.get(path, accept)
        seconds = time.perf_counter() - begun
        if holding not in body or len(body) < least:
            raise RuntimeError(f"{path}: {len(body)} bytes, {body[:300]!r}")
        return seconds

    def close(self) -> None:
        self._connection.close()


def crowd(port: int, clients: int, paths: Sequence[str], accept: str, most: float = 10.0) -> tuple[int, float]:
    """How many answers so many clients got that share the questions, and in how many seconds; none is asked after
    `most` of them."""
    begun = time.perf_counter()

    def ask(client: int) -> int:
        connection, answers = Client(port), 0
        for path in paths[client::clients]:
            if time.perf_counter() - begun > most:
                break
            connection.get(path, accept)
            answers += 1
        connection.close()
        return answers

    with ThreadPoolExecutor(clients) as threads:
        answers = sum(threads.map(ask, range(clients)))
    return answers, time.perf_counter() - begun


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Of values in order, the one that so many percent are not above."""
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
