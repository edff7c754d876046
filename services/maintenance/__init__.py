"""What keeps the bucket enough (promise 3): everything else can be rebuilt from it.

`archiver` seals the log's facts into segments beside the objects, `facts` reads them back, `sweeper` finds objects
whose fact was never told and tells it (`rescue` reads it from the object), `restore` fills an empty log and an empty
index from the bucket, `reindex` builds the index anew beside the live one. Archiver and sweeper run with the indexer
role; `gantry sweep`, `gantry reindex` and `gantry restore` are for hands.
"""
