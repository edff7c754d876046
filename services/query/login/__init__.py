"""Login of people in a browser: OpenID Connect Core 1.0 3.1, authorization code with PKCE (RFC 7636, RFC 9700).

`targets`, `metadata`, `exchange` and `pages` think: where somebody may come back to, what a provider says of itself,
what is asked of it and what it may answer, and what people are told. `provider` asks it, `service` answers browsers.
Sessions are cookies that this archive seals (`gantry.common.access.sessions`); no token is ever where a script or an
address could have it.
"""
