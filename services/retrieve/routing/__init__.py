"""Routes: studies are forwarded automatically when they are complete (docs/routing.md).

What belongs here: which routes a completed study gets (`requesting`), or one that lost instances (`changing`), what
notifications say (`standing`, `notifications`), one attempt at a route (`attempt`), and the queue of each destination
(`router`). What does not: sub-operations (`gantry.services.retrieve.dimse`), and the outcome of a route
(`gantry.common.lifecycle.routes`).

Messages of modalities about performed procedure steps are in the same queues: who is notified (`step_requesting`,
`step_messages`), and one attempt (`step_delivery`).

A destination may be asked for storage commitment of what it got (`committing`). Priors for orders come the other way:
which archives are asked for them (`prefetch_requesting`), which studies are priors (`priors`), and one attempt
(`prefetching`).

The order of effects: `StudyCompleted` is read, `RouteRequested` is published for each destination, then the offset is
committed; a route is sent, `RouteEnded` is published, and only then may the log drop its request. So a process that
dies sends its current route once more, and no route is lost.
"""
