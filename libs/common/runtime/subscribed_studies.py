"""Studies as a subscriber sees them: whether the subscriber is to be notified of a study, and its values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gantry.common.access import Facts, Sight, restricted
from gantry.common.fhir.identifiers import Systems
from gantry.common.fhir.resources import imaging_study
from gantry.common.ports.index import ReadIndex
from gantry.common.subscriptions.filters import question_of, search_of_filters
from gantry.common.subscriptions.fold import Noted
from gantry.common.subscriptions.model import Content, SubscriptionRequest
from gantry.common.subscriptions.notifications import NotifiedEvent, is_deletion
from gantry.common.subscriptions.resources import Urls

Attributes = Mapping[int, Any]


class SubscribedStudies:
    """Asks the index, which is restricted to what the subscriber sees."""

    def __init__(self, index: ReadIndex, systems: Systems, urls: Urls) -> None:
        self._index = index
        self._systems = systems
        self.urls = urls

    async def find(self, study: str, wanted: SubscriptionRequest, facts: Facts, sight: Sight) -> Attributes | None:
        """A study, if it meets the filters of the subscription and is visible; None otherwise. Raises
        `DependencyUnavailable`, `NotUnderstood` for filters of another release."""
        search = search_of_filters(wanted.filters, self._systems, facts, self.urls.of(wanted.release).fhir)
        question = question_of(search, study)
        if question is None:
            return None
        with restricted(sight):
            async for page in self._index.find(question):
                for document in page:
                    return document.attributes
        return None

    async def notified_event(
        self, note: Noted, wanted: SubscriptionRequest, facts: Facts, sight: Sight
    ) -> NotifiedEvent:
        """An event, with what the subscriber may know now. Raises `DependencyUnavailable`."""
        study = await self.find(note.study_instance_uid, wanted, facts, sight)
        if study is None:
            # A study noted as gone was visible before; any other is hidden from the subscriber by now.
            return NotifiedEvent(note, seen=is_deletion(note), gone=is_deletion(note))
        if wanted.content is not Content.FULL:
            return NotifiedEvent(note, seen=True)
        return NotifiedEvent(note, seen=True, resource=imaging_study(study, self._systems, self.urls.dicomweb))
