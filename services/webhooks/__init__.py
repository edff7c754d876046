"""Webhooks: what happens is posted to addresses that the settings name (docs/changes.md).

`signing` makes and checks signatures (pure), `delivery` posts a batch, `app` wires a consumer group for each webhook.
Subscriptions over FHIR (docs/fhir.md) are told here, too: `noticing` notes for each what happens, `notifier` is the one
process that tells, `telling` tells one subscriber, `subscribers` knows who may be told, `subscriptions_app` wires them.
`posting` makes the posts of both.
"""
