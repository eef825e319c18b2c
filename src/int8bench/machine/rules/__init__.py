"""What is wrong with an engine on a processor, why, and what to type. Pure: values in, values out; measures nothing.

choice.py      which engine fits a machine, by rule
limits.py      environment variables that hold instruction sets back
machine.py     rules about the machine, and about what a description says of it
fit.py         rules about an engine on the machine
table.py       all rules in one table, and `inspect`, which asks them
"""

from int8bench.machine.rules.choice import INT8_ENGINES, KNOWN_ENGINES, recommend
from int8bench.machine.rules.table import RULES, inspect

__all__ = ["INT8_ENGINES", "KNOWN_ENGINES", "RULES", "inspect", "recommend"]
