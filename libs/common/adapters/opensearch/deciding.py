"""Decisions about receipts, into the indices: first their deletion states, then the instances, then the levels above.

Two writers meet at the instance's document. The deciding process writes deletion states, then reads the document, then
replaces it if it is unchanged, even if its content stays the same. The applying process reads the document, then the
deletion states, then replaces it in the same way. So the later of the two has seen what the other wrote, or has to
start again. A decision that was interrupted anywhere is repeated, and continues from the stored state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gantry.common.adapters.opensearch.client import (
    ABSENT,
    DEPENDENCY,
    BulkOperation,
    OpenSearchClient,
    SearchResult,
    rounds,
)
from gantry.common.adapters.opensearch.decision_documents import (
    NOTHING,
    DecisionDocument,
    DecisionDocuments,
    decision_id,
)
from gantry.common.adapters.opensearch.documents import Hit, instance_id
from gantry.common.adapters.opensearch.places import PlaceDocuments
from gantry.common.adapters.opensearch.receipts import Receipts
from gantry.common.adapters.opensearch.settling import WHOLE, Settled, moves, settle
from gantry.common.adapters.opensearch.summaries import Summaries
from gantry.common.clock import Clock
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.errors import DependencyUnavailable
from gantry.common.lifecycle import ALIVE, DeletionState
from gantry.common.ports.index import Decision, InstanceKey
from gantry.common.telemetry.logs import get_logger

_AT_ONCE = 500
"""Instances in memory."""
logger = get_logger("index")


@dataclass(slots=True)
class _Work:
    """One instance, and the additions to the deletion states of its receipts."""

    partition: str
    instance: InstanceKey
    deletion_states: dict[str, DeletionState] = field(default_factory=dict)

    def ids(self, receipts: Iterable[str]) -> list[str]:
        """The ids of receipts' documents."""
        return [decision_id(self.partition, receipt) for receipt in receipts]


class Deciding:
    """One call of `decide` against the indices of one generation."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str], clock: Clock, table: AttributeTable) -> None:
        """`names` are the indices by kind, made for the attributes in `table`."""
        self._client = client
        self._names = names
        self._clock = clock
        self._table = table
        self._decisions = DecisionDocuments(client, names)
        self._receipts = Receipts(client, names)
        self._places = PlaceDocuments(client, names)

    async def decide(self, decisions: Sequence[Decision]) -> None:
        """See `SearchIndex`."""
        every = _by_instance(decisions)
        ids = list(every)
        for start in range(0, len(ids), _AT_ONCE):
            batch = {id_: every[id_] for id_ in ids[start : start + _AT_ONCE]}
            await self._join(batch.values())
            await self._places.hide(
                [id_ for work in batch.values() for id_ in work.ids(work.deletion_states)], self._clock
            )
            await self._settle(batch)
        await self._decisions.refresh()
        await self._client.refresh(self._names["instances"])
        summaries = Summaries(self._client, self._names, self._clock, self._table)
        touched: dict[str, set[tuple[str, str]]] = {}
        for work in every.values():
            place = work.instance.study_instance_uid, work.instance.series_instance_uid
            touched.setdefault(work.partition, set()).add(place)
        for partition, series in touched.items():
            await summaries.renew(partition, series)

    async def _join(self, batch: Iterable[_Work]) -> None:
        """Add to the deletion states."""
        left = {
            decision_id(work.partition, receipt): (work, receipt) for work in batch for receipt in work.deletion_states
        }
        async for _ in rounds(self._clock):
            decision_documents = await self._decisions.get(left)
            operations = []
            for id_, (work, receipt) in left.items():
                decision_document, deletion_state = decision_documents.get(id_, NOTHING), work.deletion_states[receipt]
                if (
                    not decision_document.decided
                    or decision_document.deletion_state | deletion_state != decision_document.deletion_state
                ):
                    operations.append(
                        self._decisions.joined(
                            work.partition, work.instance, receipt, deletion_state, decision_document
                        )
                    )
            overtaken = await self._written(operations)
            left = {id_: left[id_] for id_ in overtaken}
            if not left:
                return

    async def _settle(self, left: dict[str, _Work]) -> None:
        """Update the instances to the result."""
        async for _ in rounds(self._clock):
            left = await self._round(left)
            if not left:
                return

    async def _round(self, left: dict[str, _Work]) -> dict[str, _Work]:
        """Settle what is left; writes that lose a race are left again."""
        results = await self._client.get(self._names["instances"], list(left), WHOLE)
        moved = {id_: await self._receipts.rows_of(id_) for id_, result in results.items() if moves(result.source)}
        decision_documents = await self._documents_of(left, results, moved)
        settled = {
            id_: settle(
                work.partition,
                work.instance,
                results.get(id_, ABSENT).source,
                moved.get(id_, ()),
                decision_documents[id_],
                self._table,
            )
            for id_, work in left.items()
        }
        done = await self._keep(settled, decision_documents)
        done = await self._write({id_: settled[id_] for id_ in done}, results)
        done = await self._forget(left, {id_: settled[id_] for id_ in done}, decision_documents)
        return {id_: work for id_, work in left.items() if id_ not in done}

    async def _documents_of(
        self, left: Mapping[str, _Work], results: Mapping[str, SearchResult], moved: Mapping[str, Sequence[Hit]]
    ) -> dict[str, dict[str, DecisionDocument]]:
        """By instance, the documents of all its receipts. Read after the instance's document was."""
        by_instance: dict[str, list[str]] = {}
        for id_, work in left.items():
            source = results.get(id_, ABSENT).source
            near = source["receipts"]["near"] if source is not None else ()
            by_instance[id_] = list(
                {*work.deletion_states, *(row[0] for row in near), *(row[0] for row in moved.get(id_, ()))}
            )
        ids = [key for id_, receipts in by_instance.items() for key in left[id_].ids(receipts)]
        known = await self._decisions.get(ids, entries=True)
        return {
            id_: {r: known[key] for r, key in zip(receipts, left[id_].ids(receipts), strict=True) if key in known}
            for id_, receipts in by_instance.items()
        }

    async def _keep(
        self, settled: Mapping[str, Settled], decision_documents: Mapping[str, Mapping[str, DecisionDocument]]
    ) -> list[str]:
        """Store entries before the instance's document drops them. Returns the instances for which that succeeded."""
        operations = {
            id_: [
                self._decisions.keeping(known, decision_documents[id_].get(known.entry.receipt, NOTHING))
                for known in settlement.keep
            ]
            for id_, settlement in settled.items()
        }
        return await self._all_written(operations)

    async def _write(self, settled: Mapping[str, Settled], results: Mapping[str, SearchResult]) -> list[str]:
        """Write the instances' documents. Returns those that were unchanged since they were read."""
        index = self._names["instances"]
        operations = [
            BulkOperation("index", index, id_, settlement.source, results.get(id_, ABSENT))
            for id_, settlement in settled.items()
        ]
        done: list[str] = []
        shorten: dict[str, SearchResult] = {}
        for operation, result in zip(operations, await self._client.bulk(operations), strict=True):
            if result.refusal:
                # The document was refused for good: so there is nothing to hide or to restore.
                logger.error("index refuses a document about which something was decided", reason=result.refusal)
            if not result.conflict:
                done.append(operation.id)
            if result.done:
                shorten[operation.id] = SearchResult(dict(operation.body), result.seq_no, result.primary_term)
        await self._receipts.shorten(shorten)
        return done

    async def _forget(
        self,
        left: Mapping[str, _Work],
        settled: Mapping[str, Settled],
        decision_documents: Mapping[str, Mapping[str, DecisionDocument]],
    ) -> list[str]:
        """Drop the headers of collected receipts, once nothing uses them any more, and remove documents beside those of
        the instances. Returns the instances for which that succeeded."""
        for id_, settlement in settled.items():
            await self._receipts.remove(id_, settlement.remove)
        operations = {
            id_: [
                self._decisions.forgetting(decision_id(left[id_].partition, receipt), decision_documents[id_][receipt])
                for receipt in settlement.forget
            ]
            for id_, settlement in settled.items()
        }
        return await self._all_written(operations)

    async def _all_written(self, operations: Mapping[str, Sequence[BulkOperation]]) -> list[str]:
        """The keys for which every operation succeeded."""
        overtaken = await self._written([operation for batch in operations.values() for operation in batch])
        return [key for key, batch in operations.items() if not any(o.id in overtaken for o in batch)]

    async def _written(self, operations: Sequence[BulkOperation]) -> set[str]:
        """Write. Returns the ids that another process wrote meanwhile."""
        overtaken = set()
        for operation, result in zip(operations, await self._client.bulk(operations), strict=True):
            if result.refusal:
                raise DependencyUnavailable(DEPENDENCY, f"it refuses what was decided: {result.refusal}")
            if result.conflict:
                overtaken.add(operation.id)
        return overtaken


def _by_instance(decisions: Iterable[Decision]) -> dict[str, _Work]:
    every: dict[str, _Work] = {}
    for decision in decisions:
        id_ = instance_id(decision.partition, decision.instance)
        work = every.setdefault(id_, _Work(decision.partition, decision.instance))
        work.deletion_states[decision.receipt] = (
            work.deletion_states.get(decision.receipt, ALIVE) | decision.deletion_state
        )
    return every
