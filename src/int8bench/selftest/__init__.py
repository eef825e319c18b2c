"""How far our verdicts hold on this machine: known slow-downs are raced as users' models are.

In: a budget. Out: shares of false alarms and of effects seen, each with its interval. Imported by the doors.
"""
