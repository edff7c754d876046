"""Login of people in a browser: OpenID Connect Core 1.0 3.1, authorization code with PKCE (RFC 7636, RFC 9700).

`targets`, `metadata`, `exchange` and `pages` are pure: where a browser may return to, a provider's metadata, requests
to it and valid answers, and the pages that people see. `provider` calls it, `service` answers browsers. Sessions are
cookies that this archive encrypts (`gantry.common.access.sessions`); no token is ever accessible to a script or part of
an address.
"""
