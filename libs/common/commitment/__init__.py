"""Storage Commitment: Push Model (PS3.4 Annex J), in both roles (pure).

What belongs here: requests and reports as bytes (`wire`), and what follows from the report on a transaction in which we
asked a peer (`requested`). What does not: who asks and who answers (`gantry.services.retrieve.routing`,
`gantry.services.commitment`), and where transactions lie (`gantry.common.runtime.elsewhere`).
"""
