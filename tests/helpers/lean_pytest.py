"""A pytest without the plug-ins that an environment happens to have: to import them takes two seconds a start."""

from importlib import metadata

WANTED = {"benchmark", "int8bench", "pytest_cov"}  # what tests are about
STRANGERS = sorted({entry.name for entry in metadata.entry_points(group="pytest11")} - WANTED)
LEAN = {"PYTEST_ADDOPTS": " ".join(f"-p no:{name}" for name in STRANGERS)}
"""The variable that says so, for the environment of a process that runs pytest."""
