"""A diagnosis as one screen of text: the machine, its engines, what to choose, what is wrong. Draws, never measures."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from int8bench import units
from int8bench.report.text import SEVERITIES, draw


def render(document: Mapping[str, Any], *, width: int, colour: bool) -> str:
    """Return the document of ``doctor --json`` as text.

    Args:
        document: what `diagnosis.Diagnosis.to_dict` gives.
        width: columns of the screen.
        colour: whether to use colours, for a terminal.
    """
    machine = document["hardware"]
    parts = [*_machine(machine, document["fingerprint"]), *_engines(document), *_findings(document)]
    return draw(Group(*parts), width=width, colour=colour)


def _machine(machine: Mapping[str, Any], fingerprint: str) -> Iterator[Text]:
    yield Text(f"{machine['brand'] or 'unnamed processor'} ({machine['arch']}, {machine['os']})", style="bold")
    instructions = machine.get("instructions", {})  # which older documents do not have
    untold = [level for level, state in instructions.items() if state == "untold"]
    none = "none shown by this CPU type" if machine.get("cpu_type") else "none that int8 kernels use"
    levels = " ".join(machine["levels"]) or ("" if untold else none)
    yield Text(f"  instruction sets  {'; '.join(filter(None, (levels, _untold(untold))))}")
    cores = f"{machine['usable_cores'] or 'unknown'} usable of {machine['logical_cores'] or 'unknown'}"
    virtual = f", virtual machine ({machine['hypervisor']})" if machine["hypervisor"] else ""
    steal = f", {machine['steal_fraction']:.1%} stolen so far" if machine["steal_fraction"] is not None else ""
    yield Text(f"  cores             {cores}{virtual}{steal}")
    if machine["memory_bytes"]:
        yield Text(f"  memory            {units.size(machine['memory_bytes'])}")
    if machine["torch"]:
        torch = machine["torch"]
        yield Text(f"  torch             {torch['version']}, dispatches to {torch['capability']}")
    yield Text(f"  fingerprint       {fingerprint}")


def _untold(levels: list[str]) -> str:
    """Return a note on the levels that the description leaves open; nothing where there are none."""
    return f"untold: {' '.join(levels)}" if levels else ""


def _engines(document: Mapping[str, Any]) -> Iterator[Text]:
    probes = {probe["engine"]: probe for probe in document["probes"]}
    elsewhere = document.get("engines_judged_by") == "architecture"  # of a machine that a file describes
    yield Text(f"\nengines{', by its architecture' if elsewhere else ''}", style="bold")
    states = {True: ("fits" if elsewhere else "available", "green"), False: ("no", "red"), None: ("untold", "yellow")}
    for engine in document["engines"]:
        line = Text(f"  {engine['name']:<10} ")
        word, style = states[engine["available"]]
        line.append(word, style=style)
        if engine["reason"]:
            line.append(f": {engine['reason']}")
        if engine["name"] in probes:
            probe = probes[engine["name"]]
            words = "saturates" if probe["saturates"] else "does not saturate"
            against = probe.get("against", "exact integers")  # which older documents do not say
            exact = "exact" if probe["sqnr_db"] is None else f"{probe['sqnr_db']:.1f} dB against {against}"
            line.append(f"; {words} ({exact})", style="yellow" if probe["saturates"] else "dim")
        yield line
    recommended = document["recommended"]
    line = Text("\nrecommended: ", style="bold")
    line.append(recommended["engine"] or "stay with float32", style="bold green")
    line.append(f"  ({recommended['basis']})", style="default")
    yield line


def _findings(document: Mapping[str, Any]) -> Iterator[Text]:
    if not document["findings"]:
        yield Text("\nnothing wrong found", style="green")
    for finding in document["findings"]:
        line = Text(f"\n{finding['severity']} ", style=SEVERITIES[finding["severity"]])
        line.append(f"{finding['code']}: {finding['subject']}\n", style="bold")
        line.append(f"  {finding['message']}\n  {finding['why']}\n  -> {finding['advice']}", style="default")
        yield line
