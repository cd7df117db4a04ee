"""Real banks under faults, and what their clients recorded of them."""
