"""The HTTP skin of every role: one server per process, who may ask, what is understood of Accept, multipart bodies.

What belongs here: the asyncio skin on aiohttp (`server`, `bodies`), who gets in (`access`), and what is pure: which
role answers which path (`routes`), negotiation (PS3.18 8.7), multipart (RFC 2046), errors as HTTP statuses. What does
not: stores, the index, the log, and what a resource says; that is of `services.<role>.web`.
"""
