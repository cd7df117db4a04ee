"""The lab: simulated runs and real banks under faults, and what was found of them."""
