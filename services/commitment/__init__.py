"""Storage Commitment Push Model, service class provider (PS3.4 Annex J).

`wire` reads requests and writes reports, `transactions` knows which requests are owed a report (both pure), `snapshots`
stores that, `checks` reads the objects again, `reports` sends N-EVENT-REPORT, `delivery` repeats it until it succeeds,
`n_action` answers N-ACTION, `taking` and `member` do what was promised there, `app` wires.

A request is an event (`CommitmentRequested`) before it is answered; so is a report that was delivered or given up
(`CommitmentReported`). Work in progress survives any restart: it is every request without a report.
"""
