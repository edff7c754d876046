"""What keeps the bucket enough (promise 3): everything else can be rebuilt from it.

`sealing` seals the log's facts into segments beside the objects, `sealed_events` reads them back, `resealing` takes
headers out of what earlier releases sealed. `sweeper` finds objects whose fact was never told and tells it
(`recover_event` reads it from the object), `restore` fills an empty log and an empty index from the bucket, `reindex`
builds the index anew beside the live one. Archiver and sweeper run with the indexer role; `gantry sweep`, `reindex`,
`reseal` and `restore` are for hands.
"""
