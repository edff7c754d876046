"""Wiring of subscriptions over FHIR, in processes of the indexer role: recording changes, and notifying subscribers."""

from __future__ import annotations

from gantry.common.events import TOPICS, StudyCompleted
from gantry.common.fhir.identifiers import Systems
from gantry.common.runtime.backoff import Delays
from gantry.common.runtime.consumer import ConsumerLimits, ConsumerLoop
from gantry.common.runtime.subscribed_studies import SubscribedStudies
from gantry.common.runtime.subscription_seal import SubscriptionSeal
from gantry.common.subscriptions.resources import Urls
from gantry.common.web.routes import BASE, FHIR, FHIR_R5
from gantry.services.context import Context, RoleParts
from gantry.services.webhooks.noticing import Noticing
from gantry.services.webhooks.notifier import Notifier
from gantry.services.webhooks.posting import Poster
from gantry.services.webhooks.subscribers import Subscribers

GROUP = "subscriptions"
_BATCH = 200


async def build(context: Context) -> RoleParts:
    """Nothing if the settings name no address that may be notified. Raises `ConfigError`."""
    settings, followed = context.settings, context.followed_subscriptions
    if followed is None:
        return RoleParts()
    urls = Urls.below(settings.http.url, FHIR, BASE, FHIR_R5)
    studies = SubscribedStudies(context.answers, Systems.read(settings.query.fhir_systems), urls)
    subscribers = Subscribers(settings, SubscriptionSeal(settings))
    noticing = Noticing(context.log, followed, studies, subscribers, context.clock)
    limits = ConsumerLimits(_BATCH, delays=Delays(longest=5.0))
    topics = [TOPICS[StudyCompleted].name]
    loop = ConsumerLoop(context.log, GROUP, topics, noticing, context.clock, context.metrics, limits)
    poster = Poster(settings.subscriptions.most)
    notifier = Notifier(
        context.log,
        followed,
        studies,
        subscribers,
        poster,
        settings.subscriptions,
        context.clock,
        context.metrics,
        context.audit,
    )

    async def stop(_: float) -> None:
        loop.stop()
        await notifier.stop()

    return RoleParts(
        background=[(GROUP, loop.run()), ("notifier of subscriptions", notifier.run())],
        groups=[GROUP],
        drain=[stop],
        close=[poster.close],
    )
