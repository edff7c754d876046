"""HL7 version 2 over MLLP: messages are received, applied and answered in order; one that cannot be applied waits in
quarantine for a person.

`common/hl7` decides what a message asks for; this package does it, through the desks of orders and corrections, and
publishes the outcome before its sender is answered.
"""
