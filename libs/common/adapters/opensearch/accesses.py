"""When studies were last accessed: a document for each study with a recorded access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gantry.common.adapters.opensearch.client import ABSENT, DEPENDENCY, BulkOperation, OpenSearchClient, rounds
from gantry.common.adapters.opensearch.documents import study_id
from gantry.common.clock import Clock
from gantry.common.errors import DependencyUnavailable
from gantry.common.ports.index import StudyAccess


class AccessDocuments:
    """The accesses of one generation. They are read in real time, without a refresh."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str]) -> None:
        self._client = client
        self._index = names["accesses"]

    async def last(self, partition: str, study: str) -> int:
        """When a study was last accessed, in microseconds; 0: never."""
        id_ = study_id(partition, study)
        source = (await self._client.get(self._index, [id_], ("at",))).get(id_, ABSENT).source
        return 0 if source is None else int(source["at"])

    async def note(self, accesses: Sequence[StudyAccess], clock: Clock) -> None:
        """Note accesses; an earlier one changes nothing."""
        left: dict[str, StudyAccess] = {}
        for access in sorted(accesses, key=lambda access: access.at):
            left[study_id(access.partition, access.study_instance_uid)] = access
        async for _ in rounds(clock):
            left = await self._round(left)
            if not left:
                return

    async def _round(self, left: dict[str, StudyAccess]) -> dict[str, StudyAccess]:
        """Write what is left and later than the stored values; writes that lose a race are left again."""
        documents = await self._client.get(self._index, list(left), ("at",))
        operations = []
        for id_, access in left.items():
            before = documents.get(id_, ABSENT)
            if before.source is None or before.source["at"] < access.at:
                document = {"partition": access.partition, "study": access.study_instance_uid, "at": access.at}
                operations.append(BulkOperation("index", self._index, id_, document, before))
        results = await self._client.bulk(operations) if operations else []
        for result in results:
            if result.refusal:
                raise DependencyUnavailable(DEPENDENCY, f"it refuses an access: {result.refusal}")
        return {o.id: left[o.id] for o, result in zip(operations, results, strict=True) if result.conflict}
