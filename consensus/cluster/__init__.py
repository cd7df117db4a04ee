"""Local workers: starting, watching, killing and restarting them."""
