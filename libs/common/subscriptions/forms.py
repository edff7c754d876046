"""What differs between the releases of FHIR in which a subscription may be made: how it is read, said, told. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gantry.common.subscriptions.fold import Subscription
from gantry.common.subscriptions.model import Release, SubscriptionRequest
from gantry.common.subscriptions.notifications import notification
from gantry.common.subscriptions.r5 import asked_subscription_r5, notification_r5, status_r5, subscription_r5
from gantry.common.subscriptions.reading import AskedSubscription, asked_subscription
from gantry.common.subscriptions.resources import Resource, Urls, status_parameters, subscription_resource


@dataclass(frozen=True, slots=True)
class Form:
    """The functions of a release; each as that of R4 is described."""

    asked: Callable[[Any, str, Iterable[str]], AskedSubscription]
    resource: Callable[[str, Subscription, SubscriptionRequest, Urls], Resource]
    status: Callable[..., Resource]
    notification: Callable[..., Resource]


FORMS = {
    Release.R4: Form(asked_subscription, subscription_resource, status_parameters, notification),
    Release.R5: Form(asked_subscription_r5, subscription_r5, status_r5, notification_r5),
}
