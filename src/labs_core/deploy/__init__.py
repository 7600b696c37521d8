"""`labs deploy`: a ready folder for one model, per kind of host. One module per target.

plan.py says what to write, application.py writes what every target needs (bundle, code, pins),
and a target's `write` adds its own files to it.
"""
