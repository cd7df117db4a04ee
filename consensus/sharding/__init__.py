"""Which cluster should own which account: the hypergraph of the traffic, its partitioner, the planner."""
