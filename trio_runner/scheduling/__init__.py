"""Decisions without I/O: offers, admission, task phases, matching, backoff, outcomes. No trio in here."""
