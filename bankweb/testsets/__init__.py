"""Test sets of the course: files, runs on a private bank, pages."""
