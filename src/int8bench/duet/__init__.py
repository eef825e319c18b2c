"""Two revisions, or two environments, raced now: paired samples of the same benchmark in a process of each.

sides.py    a revision or an environment -> an interpreter with its package first on the path
scratch.py  folders that go with their process, whatever ends it
scratch.py  folders that go with their process, whatever ends it
peers.py    a side's processes: launches that have opened a suite, forks that take turns
pairs.py    one benchmark on both sides: rounds of samples, sustained load, tracked numbers
plan.py     how a budget is spent over launches, forks and benchmarks
samples.py  what was measured, raw
samples.py  what was measured, raw
judged.py   samples -> comparisons, each with its interval and word
record.py   what is written down
study.py    joins them
"""
