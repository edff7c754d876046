"""What keeps the bucket enough (promise 3): everything else can be rebuilt from it.

`sealing` seals the log's events into segments beside the objects, `sealed_events` reads them back, `sweeper` finds
objects whose event was never published and publishes it (`recover_event` reads it from the object), `restore` fills an
empty log and an empty index from the bucket, `reindex` rebuilds the index beside the live one, `verify` reads objects
again and compares them. Archiver and sweeper run with the indexer role; operators run `gantry sweep`, `gantry reindex`
and `gantry restore`.
"""
