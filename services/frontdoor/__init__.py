"""The front door: one address for all roles, each of them scaled by itself.

It reads the A-ASSOCIATE-RQ of a connection, decides from its abstract syntaxes and roles which processes can serve it,
and then forwards bytes in both directions, unread. It has no policy: the service decides on admission and permissions,
and learns the real peer from the PROXY protocol. The door has no stores, but for the counts of shadow mode, in which it
asks a second archive what peers ask (`shadow`).
"""
