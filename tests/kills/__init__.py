"""Runs that are killed at random moments and started again, and what is left of them; `python -m tests.kills --help`."""
