"""From asv's results to series and verdicts: what is kept beside them, how they are read, what changed and when."""
