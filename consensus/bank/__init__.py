"""The replicated state machine: accounts, sessions, outcomes. Deterministic, no clock."""
