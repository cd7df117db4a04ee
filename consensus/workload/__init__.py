"""Load: floors, generators, measurements."""
