"""The values of corrections in the object store: JSON in the DICOM JSON model (PS3.18 F.2), one object for each.

They name a patient, so that they are not on the log, which is kept for ever; they are removed when nothing of the study
or the patient is there any more.
"""

from __future__ import annotations

import json

from gantry.common.errors import NotUnderstood
from gantry.common.lifecycle import Values
from gantry.common.ports.blobs import BlobStore, read_whole


async def write_values(objects: BlobStore, key: str, values: Values) -> None:
    """Durable when it returns. Raises `DependencyUnavailable`."""
    await objects.put(key, [json.dumps(values, sort_keys=True).encode()])


async def read_values(objects: BlobStore, key: str) -> Values:
    """Raises `NotFound` for what was removed, `NotUnderstood` for what are no values, and `DependencyUnavailable`."""
    content = await read_whole(objects, key)
    try:
        values = json.loads(content)
        if not all(isinstance(element, dict) and len(name) == 8 for name, element in values.items()):
            raise ValueError
    except (ValueError, AttributeError):
        raise NotUnderstood("not the values of a correction") from None
    return dict(values)
