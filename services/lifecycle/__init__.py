"""Deleting, restoring and holding studies: the order of effects, for all callers (DELETE over HTTP, the command line).

A deletion is an event that names the existing receipts; the answer waits until the indexers have read it, so that later
queries do not find what was deleted. Objects are collected later (`gantry.services.maintenance.collector`).
"""
