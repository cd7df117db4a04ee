"""Judges recorded histories of the bank from the outside: it knows replies and times, nothing of a node."""
