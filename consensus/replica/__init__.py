"""The only door to the core: ``Replica.step(now_us, input) -> Outputs``, without any I/O."""
