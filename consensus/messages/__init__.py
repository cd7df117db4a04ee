"""What travels between processes: one frozen msgspec struct each, array-like, with a number.

A number is never used for anything else once it has been shipped, and fields are only ever
appended, with a default. The table of all numbers is in docs/protocol.md.
"""
