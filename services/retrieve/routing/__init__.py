"""Routes: studies are sent on by themselves when they are complete (docs/routing.md).

What belongs here: which routes a completed study gets (`requesting`), and one of which something was taken away
(`changing`), what notifications say (`standing`, `notifications`), one attempt at a route (`attempt`), and the queue
of each destination (`router`). What does not: sub-operations (`gantry.services.retrieve.dimse`), and what became of a
route (`gantry.common.lifecycle.routes`).

What modalities say of performed procedure steps is in the same queues: who is told (`step_requesting`,
`step_messages`), and one attempt at it (`step_delivery`).

What a destination got it may be asked to take responsibility for (`committing`). Priors for orders come the other way:
who is asked for them (`prefetch_requesting`), which studies are priors (`priors`), and one attempt (`prefetching`).

The order of effects: `StudyCompleted` is read, `RouteRequested` is published for each destination, then the offset is
committed; a route is sent, `RouteEnded` is published, and only then the log may forget its request. So a process that
dies sends what it was at once more, and nothing is forgotten.
"""
