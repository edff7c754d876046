"""Storage Commitment: Push Model, service class provider (PS3.4 Annex J), and over HTTP (PS3.18 13).

`wire` reads requests and writes reports, `payloads` does so for HTTP, `transactions` knows which requests are owed a
report (all pure), `snapshots` stores that, `checks` reads the objects again, `reports` sends N-EVENT-REPORT, `results`
stores what callers over HTTP ask for, `delivery` repeats either until it succeeds, `n_action` answers N-ACTION, `web`
answers HTTP, `taking` and `member` do what was promised there, `app` wires.

Reports on what we asked other archives for come here as well, and are taken by `gantry.services.reported`.

A request is an event (`CommitmentRequested`) before it is answered; so is a report that was delivered or given up
(`CommitmentReported`). Work in progress survives any restart: it is every request without a report.
"""
