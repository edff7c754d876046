"""Subscriptions over FHIR R4, as the Subscriptions R5 Backport guide has them
(https://hl7.org/fhir/uv/subscriptions-backport/STU1.1): what is asked for, what became of it, what is told. Pure.

`model` is a subscription, `reading` takes one as it came, `endpoints` says where it may lead to, `filters` which
studies it is about, `fold` what became of each, `resources` how they are said in FHIR, `notifications` what is posted.
"""
