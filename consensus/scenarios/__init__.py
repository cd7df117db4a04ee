"""Stories on a real bank: steps, what must come of each, and a proof at the end. One file per scenario."""
