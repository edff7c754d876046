"""The front door: one address for all roles, which scale independently.

It reads the A-ASSOCIATE-RQ of a connection, decides from its abstract syntaxes and roles which processes can serve it,
and then forwards bytes in both directions without reading them. It has no policy: the service decides on admission and
permissions, and learns the real peer from the PROXY protocol. The door has no stores, except for the counts of shadow
mode, in which it mirrors requests to a second archive (`shadow`).
"""
