"""A C-MOVE as routes, one for each study: what is on the log before its first sub-operation, while it sends, and when
it has ended (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gantry.common.dicom.query.matching import Condition, Single, UidList
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID
from gantry.common.events import Event, RouteDelayed, RouteEnded, RouteRequested
from gantry.common.ids import DEFAULT_PARTITION, receipt_in_key
from gantry.common.lifecycle.routes import CANCELLED, DELIVERED, MOVE, taken_in_pieces
from gantry.common.ports.index import Location
from gantry.services.retrieve.dimse.suboperations import Counters

MOST_NAMED = 4_000
"""Most series, or instances, that a record names: a request that lists more of a study is not recorded."""
_LONGEST_WHY = 200


@dataclass(frozen=True, slots=True)
class RequestedMove:
    """Who requested a move, its Message ID (PS3.7 9.1.4.1), and its destination."""

    requestor: str
    message_id: int
    destination: str
    trace: str


def begun(
    order: RequestedMove,
    conditions: Mapping[int, Condition],
    locations: Sequence[Location],
    names: Iterator[str],
    now_us: int,
    until: int,
) -> list[RouteRequested] | None:
    """A route for each study of a move that begins, with a name from `names`; None if it names too much. Objects that
    arrive later have later receipts, and are not part of it."""
    series, instances = (_uids(conditions.get(tag)) for tag in (SERIES_INSTANCE_UID, SOP_INSTANCE_UID))
    if max(len(series), len(instances)) > MOST_NAMED:
        return None
    studies: dict[str, list[str]] = {}
    for location in locations:
        receipt = receipt_in_key(location.object_key)
        studies.setdefault(location.study_instance_uid, []).append("" if receipt is None else receipt.id)
    return [
        RouteRequested(
            *(DEFAULT_PARTITION, order.trace, study, next(names), "", order.destination, "", max(receipts), now_us),
            kind=MOVE,
            requestor=order.requestor,
            message_id=order.message_id,
            asked=len(receipts),
            series_instance_uids=series,
            sop_instance_uids=instances,
            until=until,
        )
        for study, receipts in studies.items()
    ]


def _uids(condition: Condition | None) -> tuple[str, ...]:
    if isinstance(condition, UidList):
        return tuple(condition.uids)
    return condition.values if isinstance(condition, Single) else ()


@dataclass(slots=True)
class UnfinishedMove:
    """A move under way: which instances its records do not show as taken yet."""

    routes: Sequence[RouteRequested]
    locations: Sequence[Location]
    counters: Counters
    _reported: int = 0
    _repeated: frozenset[tuple[str, str]] = frozenset()
    """Instances that are in two series of a study under one UID: one being taken says nothing about the other."""
    _taken: Counter[str] = field(default_factory=Counter)
    """By study."""

    def __post_init__(self) -> None:
        counts = Counter((location.study_instance_uid, location.sop_instance_uid) for location in self.locations)
        self._repeated = frozenset(instance for instance, times in counts.items() if times > 1)

    def progress(self, now_us: int, until: int, *, renewed: bool = False) -> list[Event]:
        """What was taken since the last call; if `renewed`, also that the move is under way, even if nothing was
        taken."""
        taken = self._since()
        return [
            event
            for route in self.routes
            for event in taken_in_pieces(
                route, taken.get(route.study_instance_uid, ()), now_us, until, even_none=renewed
            )
        ]

    def end(self, now_us: int, again: int, *, withdrawn: bool) -> list[Event]:
        """The events for the end of the move: what was not taken is to be sent from the time `again` on or, if the move
        was `withdrawn` by C-CANCEL, never."""
        taken, failed = self._since(), self._failed()
        events: list[Event] = []
        for route in self.routes:
            study = route.study_instance_uid
            left = route.asked - self._taken[study]
            if left and not withdrawn:
                events += taken_in_pieces(route, taken.get(study, ()), now_us)
                events.append(_delayed(route, now_us, again, self._why(route, failed[study]), tried=failed[study] > 0))
            else:
                events.append(_ended(route, now_us, self._taken[study], left, withdrawn=withdrawn))
        return events

    @property
    def left(self) -> int:
        """How many instances were not taken."""
        return sum(route.asked for route in self.routes) - len(self.counters.taken)

    def _since(self) -> dict[str, list[str]]:
        taken: dict[str, list[str]] = {}
        for location in self.counters.taken[self._reported :]:
            if (location.study_instance_uid, location.sop_instance_uid) not in self._repeated:
                taken.setdefault(location.study_instance_uid, []).append(location.sop_instance_uid)
            self._taken[location.study_instance_uid] += 1
        self._reported = len(self.counters.taken)
        return taken

    def _failed(self) -> Counter[str]:
        uids = set(self.counters.failed_uids)
        return Counter(location.study_instance_uid for location in self.locations if location.sop_instance_uid in uids)

    def _why(self, route: RouteRequested, failed: int) -> str:
        if not failed:
            return f"the association of {route.requestor} ended amid its C-MOVE"
        return (self.counters.why or f"{route.destination} did not take {failed} instances")[:_LONGEST_WHY]


def _delayed(route: RouteRequested, now_us: int, again: int, why: str, *, tried: bool) -> RouteDelayed:
    identity = route.partition, route.trace, route.study_instance_uid, route.route
    return RouteDelayed(*identity, int(tried), why, now_us, again if tried else now_us)


def _ended(route: RouteRequested, now_us: int, taken: int, left: int, *, withdrawn: bool) -> RouteEnded:
    identity = route.partition, route.trace, route.study_instance_uid, route.route
    outcome, why = (CANCELLED, "C-CANCEL") if withdrawn else (DELIVERED, "")
    return RouteEnded(*identity, outcome, taken, left, why, now_us, route.requestor if withdrawn else "")
