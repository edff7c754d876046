"""The five services. They meet only on the log; only `app.py` knows which store it is."""
