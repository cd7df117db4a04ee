"""The whole of a cluster under virtual time, with faults drawn from a seed."""
