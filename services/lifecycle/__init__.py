"""Deleting, restoring and holding studies: the order of effects, for whoever asks (DELETE over HTTP, the command line).

A deletion is an event that names the receipts that there were; who answers waits until the indexers have passed it, so
that nobody finds afterwards what was deleted. Objects are collected later (`gantry.services.maintenance.collector`).
"""
