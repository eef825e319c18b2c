"""The suites that the agent opens: asv's, pytest's and our own grid, each behind suite.py's protocol."""
