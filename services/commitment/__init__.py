"""Storage Commitment Push Model, service class provider (PS3.4 Annex J).

`wire` reads requests and writes reports, `transactions` knows which requests are owed a report (both pure), `snapshots`
keeps that, `checks` looks whether objects are kept, `reports` delivers, `handlers` answers N-ACTION, `worker` does what
was promised there, `app` wires.

A request is an event (`CommitmentRequested`) before it is answered; a report that was delivered, or given up, is one
too (`CommitmentReported`). What lies between survives any restart: it is the first without the second.
"""
