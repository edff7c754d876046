"""Corrections into the indices: first the documents of each study and patient, then the studies that they affect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gantry.common.adapters.opensearch.client import OpenSearchClient
from gantry.common.adapters.opensearch.corrections import CorrectionDocuments
from gantry.common.adapters.opensearch.summaries import Summaries
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.ports.index import CorrectionChange


class Correcting:
    """One call of `correct` against the indices of one generation."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str], clock: Clock, table: AttributeTable) -> None:
        """`names` are the indices by kind, made for the attributes in `table`."""
        self._documents = CorrectionDocuments(client, names)
        self._summaries = Summaries(client, names, clock, table)
        self._clock = clock

    async def correct(self, changes: Sequence[CorrectionChange]) -> None:
        """See `SearchIndex`. Studies are recomputed even if nothing is new: a process that joined this before may have
        died before it did so."""
        await self._documents.join(changes, self._clock)
        for partition in dict.fromkeys(change.partition for change in changes):
            partition_changes = [change for change in changes if change.partition == partition]
            studies = sorted({change.study_instance_uid for change in partition_changes} - {""})
            await self._summaries.renew_studies(partition, studies)
            patients = sorted({change.patient for change in partition_changes} - {""})
            if patients:
                async for page in self._documents.studies_of(partition, patients):
                    await self._summaries.renew_studies(partition, page)
