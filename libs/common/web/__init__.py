"""The HTTP skin of every role: one server per process, access control, content negotiation, multipart bodies.

It has the asyncio skin on aiohttp (`server`, `bodies`), access control (`access`), and pure modules: which role answers
which path (`routes`), negotiation (PS3.18 8.7), multipart (RFC 2046), errors as HTTP statuses. It knows neither stores
nor index nor log; the roles in `services` answer for the resources.
"""
