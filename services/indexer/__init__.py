"""From stored instances to what can be searched.

`entries` says what an object means to the index (pure), `handlers` has the effects: batch, apply, tell of conflicts;
`app` wires.
"""
