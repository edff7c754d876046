"""From stored instances to a searchable index.

`entries` makes index entries from events (pure); `handlers` has the effects: apply a batch, repair lost objects
(`healing`), publish conflicts; `rebuild` fills a new index; `app` wires.
"""
