"""Runs that take longer than a request: rows in the database, processes beside the site."""
