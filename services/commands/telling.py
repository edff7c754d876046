"""The consumer groups that notify others, by the settings."""

from __future__ import annotations

from gantry.common.config.settings import Settings
from gantry.common.events import TOPICS, StudyCompleted
from gantry.common.runtime.feed import FEED_TOPICS
from gantry.services.completion import watcher
from gantry.services.orders.workitems import happenings, telling
from gantry.services.retrieve.routing import patient_requesting, prefetch_requesting, requesting, step_requesting
from gantry.services.webhooks import subscriptions_app
from gantry.services.webhooks.app import group_of

_STUDIES = (TOPICS[StudyCompleted].name,)


def telling_groups(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The groups with the topics that they read. A group without members would delay the log's retention, so only
    groups that the settings need are included."""
    routing = settings.routing
    groups = {
        watcher.GROUP: (_STUDIES, bool(settings.completion.quiet)),
        requesting.GROUP: (_STUDIES, bool(routing.rules)),
        step_requesting.GROUP: (
            (step_requesting.TOPIC_OF_STEPS, step_requesting.TOPIC_OF_ERASURES),
            bool(routing.steps),
        ),
        prefetch_requesting.GROUP: ((prefetch_requesting.TOPIC,), bool(routing.prefetch)),
        patient_requesting.GROUP: ((patient_requesting.TOPIC,), routing.tells_of_patients),
        telling.GROUP: ((happenings.TOPIC,), routing.workitems),
        subscriptions_app.GROUP: (_STUDIES, bool(settings.subscriptions.endpoints)),
        **{group_of(webhook): (FEED_TOPICS, True) for webhook in settings.webhooks},
    }
    return {group: topics for group, (topics, wanted) in groups.items() if wanted}
