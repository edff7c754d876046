"""One process of the archive: its stores, its HTTP port, admission, metrics and logs. Of the roles it uses only their
`app` modules."""
