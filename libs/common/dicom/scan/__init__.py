"""A data set looked at while its bytes pass by: what it is, its header, and where its bulk values lie (PS3.5 7).
Pure."""
