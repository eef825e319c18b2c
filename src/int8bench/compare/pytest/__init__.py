"""The pytest front door behind pytest_plugin.py: races inside a test, and our rule for pytest-benchmark's stored runs.

node.py    one test, run alone up to its race in a fresh interpreter, which then serves forks
race.py    launches of that test -> a verdict
result.py  what a race in a test answers with
gate.py    pytest-benchmark's runs -> comparisons; machines.py tells which were made on hardware like this
text.py    what the terminal summary says of both
"""
