"""Webhooks: changes are posted to addresses that the settings name (docs/changes.md).

`signing` makes and checks signatures (pure), `delivery` posts a batch, `app` wires a consumer group for each webhook.
Subscribers over FHIR (docs/fhir.md) are notified here, too: `noticing` records the changes for each subscription,
`notifier` is the one process that notifies, `telling` notifies one subscriber, `subscribers` knows who may be notified,
`subscriptions_app` wires them. `posting` makes the posts of both.
"""
