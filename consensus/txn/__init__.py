"""Two-phase commit over the groups: what the leaders do between the log entries."""
