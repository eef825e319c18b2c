"""Two revisions, or two environments, raced now: paired samples of the same benchmark in a process of each.

sides.py     a revision or an environment -> an interpreter with its package first on the path
pairs.py     one benchmark on both sides: rounds of samples, sustained load, tracked numbers
plan.py      which benchmarks are meant, and how a budget is spent over launches, forks and them
state.py     what a duet knows while it runs; serving.py opens, calls and ends benchmarks in its launches
samples.py   what was measured, raw
failures.py  whose failures are head's, by an exact test
judged.py    samples -> comparisons, each with its interval and word
findings.py  what is wrong or worth knowing of a duet
record.py    what is written down
study.py     joins them
"""
