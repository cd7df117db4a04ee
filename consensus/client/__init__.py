"""The client library: the site, the shell, the test sets and the benchmark all use it."""
