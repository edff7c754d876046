"""Objects in place: bytes that stay in a bucket or folder of somebody else, and are given out from there.

In our own store lies a small reference in the place of such an object (`reference`): who asks for the object gets our
file meta information and then the data set from where it lies (`store`). So nobody else has to know.
"""
