"""Shadow mode: what peers ask the archive that answers them is asked of a second archive, too, and both answers are
compared (decision 0069, docs/shadow.md).

Pure: `overhearing` makes messages of the bytes that the door passes on, `answers` and `comparing` say what differs,
`tally` counts. With effects: `mirror` plays one association over again, `asking` is how either archive is asked,
`shadowing` has the limits, the metrics and the log, `keeping` saves the counts. The rule of the room: nothing here can
slow, fail or change what a peer gets. What cannot be kept up with is given up, and counted.
"""
