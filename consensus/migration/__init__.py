"""Moving batches of accounts between clusters, driven from the log: source and destination."""
