"""One process of the archive: its stores, its HTTP port, who is admitted, and what it counts and logs. Knows the roles'
`app` modules and nothing else of them."""
