"""Sending objects to web servers by STOW-RS (PS3.18 10.5), as a user agent.

What belongs here: the outcome of each instance in an answer (`answers`, pure), the body of a request (`body`), and one
attempt to send objects to a server (`server`). What does not: which studies go where, and when they are tried again
(`gantry.services.retrieve.routing`).
"""
