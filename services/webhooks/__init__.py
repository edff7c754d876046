"""Webhooks: what happens is posted to addresses that the settings name (docs/changes.md).

`signing` makes and checks signatures (pure), `delivery` posts a batch, `app` wires a consumer group for each webhook.
"""
