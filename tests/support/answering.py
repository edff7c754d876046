"""Checks whether a server answers yet."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable


def wait_for(answers: Callable[[], bool], seconds: float, service: str) -> None:
    """Wait until `answers` returns True; raises `AssertionError` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not answers():
        assert time.monotonic() < deadline, f"{service} did not answer within {seconds:g} s"
        time.sleep(0.1)


def http_ok(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def http_answers(url: str) -> bool:
    """Whether a GET is answered at all."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def kafka_answers(bootstrap: str, *, groups: bool = True) -> bool:
    """Whether the broker answers the protocol; with `groups`, also whether it coordinates consumer groups, which takes
    a moment longer. Without, the addresses to which it sends its clients are not contacted."""
    import asyncio
    import logging

    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaError

    async def ask() -> bool:
        client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=2000)
        try:
            await client.bootstrap()  # the addresses that it advertises are not contacted
            if groups:
                await client.coordinator_lookup(0, "tests")
            return bool(client.cluster.brokers())
        except (KafkaError, OSError):
            return False
        finally:
            await client.close()

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        # In a thread: the caller may have a running event loop.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(ask())).result()
    finally:
        logging.getLogger("aiokafka").setLevel(logging.NOTSET)
