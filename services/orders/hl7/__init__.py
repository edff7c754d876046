"""HL7 version 2 over MLLP: messages are received, applied and answered in their order; what cannot be applied waits in
quarantine for a person.

`common/hl7` decides what a message asks for; here it is done, through the desks of orders and corrections, and noted on
the log before its sender is answered.
"""
