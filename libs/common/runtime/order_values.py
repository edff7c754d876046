"""Patient data of orders and procedure steps, in the object store: one object for each event, durable before it.

A missing object was erased: its event has no values any more, in any process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from gantry.common.errors import Archived, Corrupt, DependencyUnavailable, NotFound, NotUnderstood
from gantry.common.events import Event, encode
from gantry.common.ids import Receipt
from gantry.common.orders import ValuedEvent, is_apart, values_in, values_key_of, with_values, without_values
from gantry.common.ports.blobs import BlobStore, Part
from gantry.common.telemetry.logs import get_logger

_AT_ONCE = 64
MOST_BYTES = 16 << 20
"""Most bytes of values in memory at once; one event may have more."""
MOST_EVENTS = 512
E = TypeVar("E", bound=Event)
logger = get_logger("orders")


async def write_values(objects: BlobStore, event: ValuedEvent, receipt: Receipt) -> ValuedEvent:
    """Write the values of an event to an object of their own. Returns the event to append. The object is durable when
    this returns. Raises `DependencyUnavailable`."""
    content = values_in(event)
    key = receipt.order_values_key(event.partition)
    await objects.put(key, [content])
    return without_values(event, key, content)


async def with_values_apart(objects: BlobStore, event: ValuedEvent) -> ValuedEvent:
    """The event without its values: those that an earlier release wrote into it are moved to an object, which is
    durable when this returns. Moving it again writes the same object. Raises `DependencyUnavailable`."""
    if event.values_key:
        return event
    key, content = values_key_of(event), values_in(event)
    await objects.put(key, [content])
    return without_values(event, key, content)


async def sealed_payload(objects: BlobStore, event: Event, payload: bytes) -> bytes:
    """The payload of an event for sealing: values that an earlier release wrote into it are moved to an object, which
    is durable when this returns. Moving it again writes the same object. Raises `DependencyUnavailable`."""
    if not isinstance(event, ValuedEvent) or event.values_key:
        return payload
    return encode(await with_values_apart(objects, event))


async def read_values(objects: BlobStore, events: Sequence[E]) -> list[E]:
    """The events with their values; those that carry them already are unchanged. An event whose object is missing or
    damaged stays apart from its values (`is_apart`); if it is missing, `values_size` is 0. Raises
    `DependencyUnavailable`."""
    apart = [event for event in events if is_apart(event)]
    read: dict[int, E] = {}
    for start in range(0, len(apart), _AT_ONCE):
        batch = apart[start : start + _AT_ONCE]
        for event, content in zip(batch, await _contents(objects, [_part(event) for event in batch]), strict=True):
            read[id(event)] = _with_read_values(event, content)
    return [read.get(id(event), event) for event in events]


async def _contents(objects: BlobStore, parts: Sequence[Part]) -> list[bytes | None]:
    """The contents of the objects; None for a missing one."""
    try:
        return list(await objects.read(parts))
    except (NotFound, Corrupt):
        # One of them, or some, are missing: each is read by itself.
        return list(await asyncio.gather(*(_content(objects, part) for part in parts)))
    except Archived as error:
        raise DependencyUnavailable("objects", "values of an order are in an archive of the store") from error


async def _content(objects: BlobStore, part: Part) -> bytes | None:
    try:
        (content,) = await objects.read([part])
    except NotFound:
        return None
    except Corrupt:
        return b""
    return content


def _part(event: Event) -> Part:
    assert isinstance(event, ValuedEvent)
    return Part(event.values_key, 0, event.values_size)


def _with_read_values(event: E, content: bytes | None) -> E:
    assert isinstance(event, ValuedEvent)
    try:
        if content is None:
            return replace(event, values_size=0)
        return with_values(event, content)  # type: ignore[return-value]  # the same class of event
    except NotUnderstood as error:
        logger.error("values of an order are damaged", key=event.values_key, change=event.change, error=error)
        return event


def by_size(events: Iterable[E]) -> Iterator[list[E]]:
    """The events in runs whose values fit into memory together."""
    run: list[E] = []
    size = 0
    for event in events:
        own = event.values_size if isinstance(event, ValuedEvent) else 0
        if run and (size + own > MOST_BYTES or len(run) >= MOST_EVENTS):
            yield run
            run, size = [], 0
        run.append(event)
        size += own
    if run:
        yield run
