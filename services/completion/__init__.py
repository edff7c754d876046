"""When studies are complete: nothing arrived for a while, and everything that arrived can be found (`StudyCompleted`).

What belongs here: reading arrivals from the log (`watcher`) and the wiring (`app`). What does not: when a study is
complete (`gantry.common.lifecycle.arrivals`), and what follows from it (webhooks, routes).
"""
