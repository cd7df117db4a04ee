"""One trace schema for live, recorded and simulated runs (docs/trace.md)."""
