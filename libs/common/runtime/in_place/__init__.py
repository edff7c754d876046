"""Objects in place: bytes that stay in a foreign bucket or folder, and are read from there.

Our own store holds a small reference instead of such an object (`reference`): readers get our file meta information,
and then the data set from its place (`store`). So other code sees no difference.
"""
