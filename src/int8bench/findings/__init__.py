"""What is wrong with an engine on a processor, why, and what to type. Pure: values in, values out; measures nothing.

values.py      severity, finding, probe, recommendation: what rules take and give
choice.py      which engine fits a machine, by rule
limits.py      environment variables that hold instruction sets back
machine.py     rules about the machine
description.py rules about what a description says of the instructions
fit.py         rules about an engine on the machine
table.py       all rules in one table, and `inspect`, which asks them
"""

from int8bench.findings.choice import INT8_ENGINES, KNOWN_ENGINES, recommend
from int8bench.findings.table import RULES, inspect
from int8bench.findings.values import Finding, Recommendation, SaturationProbe, Severity

__all__ = [
    "INT8_ENGINES",
    "KNOWN_ENGINES",
    "RULES",
    "Finding",
    "Recommendation",
    "SaturationProbe",
    "Severity",
    "inspect",
    "recommend",
]
