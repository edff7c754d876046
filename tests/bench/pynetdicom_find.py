"""pynetdicom as a C-FIND SCP: `python -m tests.bench.pynetdicom_find PORT`. Answers 100 fixed matches."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind


def answer(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
    query = event.identifier
    for number in range(100 if query.QueryRetrieveLevel == "IMAGE" else 1):
        ds = Dataset()
        ds.QueryRetrieveLevel = query.QueryRetrieveLevel
        ds.RetrieveAETitle = "GANTRY"
        for element in query:
            if element.keyword and element.keyword not in ("QueryRetrieveLevel",):
                setattr(ds, element.keyword, element.value or f"1.2.{number}" if element.VR == "UI" else element.value)
        yield 0xFF00, ds
    yield 0x0000, None


if __name__ == "__main__":
    ae = AE("GANTRY")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    ae.start_server(("127.0.0.1", int(sys.argv[1])), block=True, evt_handlers=[(evt.EVT_C_FIND, answer)])
