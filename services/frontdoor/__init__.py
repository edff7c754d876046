"""The front door: one address for all roles, each of them scaled by itself.

What belongs here: reading the A-ASSOCIATE-RQ of a connection, telling from its abstract syntaxes and roles who can
serve it, and passing bytes on from then on, both ways and unread. What does not: policy. Whom the archive admits, and
for what, is judged by the service, which hears of the real peer through the PROXY protocol. The door has no stores.
"""
