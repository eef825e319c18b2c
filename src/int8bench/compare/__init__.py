"""Two sides become comparisons: stored runs (stored.py), revisions (duet/), CI's verdict (gate/), pytest (pytest/).

In: two records, or two revisions and a budget. Out: comparisons, each with its interval and word.
Imported by reports, the selftest, tracking and the doors.
"""
