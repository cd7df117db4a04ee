"""Redistribution: what the traffic says about the placement of accounts, plans, and carrying them out."""
