"""Audit records read and sent: who saw a patient, and the audit repository of the house.

`matching` decides which records answer a question; `reading` finds them on the log and in sealed segments; `repository`
is the connection to a syslog server, and `sending` the consumer group that writes to it.
"""
