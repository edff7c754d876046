"""Upkeep that makes the bucket sufficient (promise 3): everything else can be rebuilt from it.

`sealing` seals the log's events into segments beside the objects, `sealed_events` reads them back, `resealing` removes
headers from segments of earlier releases. `sweeper` finds objects whose event was never published and publishes it
(`recover_event` reads it from the object), `collector` removes deleted objects after the grace time, `restore` fills an
empty log and an empty index from the bucket, `reindex` rebuilds the index beside the live one, `verify` reads objects
again and compares them with what was acknowledged. Archiver, sweeper and collector run with the indexer role; operators
run `gantry sweep`, `gantry reindex`, `gantry reseal` and `gantry restore`.
"""
