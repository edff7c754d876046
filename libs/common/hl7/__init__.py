"""HL7 version 2 without I/O: frames, messages, what a message asks for, and how it is answered.

What belongs here: the framing of MLLP, character sets (MSH-18), messages as they are written, profiles (which field of
which sender says what), the mapping to orders and patients, acknowledgements. What does not: sockets, event loop,
clock, stores; what time it is and what a patient is known as are arguments.

Values of a message are a patient's: no text of an answer, a problem or a log line repeats one.
"""
