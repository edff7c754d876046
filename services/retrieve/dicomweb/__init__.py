"""WADO-RS and WADO-URI (PS3.18 9, 10.4): `bulk` gives single values, `errors` turns errors into HTTP problems."""
