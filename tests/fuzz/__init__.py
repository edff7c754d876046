"""Coverage-guided fuzzing of everything that reads what strangers send: `make fuzz`, and a short run in CI.

What belongs here: the targets (`targets`), what they begin with (`seeds`), what was found once (`found/`), and the run
itself (`__main__`, `child`). A finding becomes a file below `found/TARGET/`, which tests/unit/test_fuzzing.py replays
for ever, and a test beside the code that was mended.
"""
