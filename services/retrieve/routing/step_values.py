"""The attributes that a route about a procedure step refers to, and the callback for forwarded messages."""

from __future__ import annotations

from collections.abc import Callable

from gantry.common.events import ProcedureStepSet, RouteRequested
from gantry.common.orders import Attributes, is_apart, unpack
from gantry.common.ports.blobs import BlobStore
from gantry.common.runtime.order_values import read_values

StepSent = Callable[[str, str, tuple[str, str], str, str], None]
"""SOP Instance UID, message, AE title and host of the receiver, trace, and why it was not accepted."""


async def read_step_attributes(objects: BlobStore, route: RouteRequested) -> Attributes | None:
    """The attributes in the object that a route names; None if they are erased or damaged. Raises
    `DependencyUnavailable`."""
    message = ProcedureStepSet(
        *(route.partition, route.trace, route.study_instance_uid, "", "", "", route.at, b""),
        values_key=route.values_key,
        values_size=route.values_size,
        values_digest=route.values_digest,
    )
    (message,) = await read_values(objects, [message])
    return None if is_apart(message) else unpack(message.attributes)
