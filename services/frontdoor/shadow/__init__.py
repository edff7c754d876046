"""Shadow mode: the requests of peers are also sent to a second archive, the shadow, and both answers are compared
(decision 0069, docs/shadow.md).

Pure: `overhearing` decodes messages from the bytes that the door forwards, `answers` and `comparing` find differences,
`tally` counts. With effects: `mirror` repeats one association at the shadow, `asking` sends requests to either archive,
`shadowing` has the limits, the metrics and the log, `keeping` saves the counts. The rule of this package: nothing here
may delay, fail or change what a peer gets. Requests that exceed a limit are given up, and counted.
"""
