"""Runs the `run:` steps of a job of a workflow here, as written: `python scripts/run_workflow.py JOB --base HEAD~1`.

In a clone of the last commit, whose `origin` is a bare copy, so that nothing of your repository is pushed to or
changed. Steps of actions elsewhere are listed as not run; those of an action of the repository itself are run.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from operator import ne
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
WORKFLOW = ".github/workflows/ci.yml"
# How a runner starts a step: with an explicit `shell: bash`, and without a shell (GitHub: workflow syntax, shell).
SHELLS = {"bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail"), None: ("bash", "-e")}
FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
NAMED = "local/repository"  # what GITHUB_REPOSITORY says; no such repository exists
HOME = (".cache", ".config", ".gitconfig", ".local")  # of your home, shown to the steps; the rest is a throwaway's

PLACE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
TOKEN = re.compile(r"\s*('(?:[^']|'')*'|[A-Za-z_][\w.-]*|==|!=|&&|\|\||[!()])")


class UnknownExpressionError(ValueError):
    """An expression that this script cannot evaluate; the workflow is to be written more simply."""


@dataclass(slots=True, kw_only=True)
class Expression:
    """An expression of a workflow: names, strings, `==`, `!=`, `!`, `&&`, `||` and the four functions of a status."""

    text: str
    names: Mapping[str, Any]
    failed: bool = False
    tokens: list[str] = field(default_factory=list)

    def value(self) -> Any:  # noqa: ANN401  what the contexts hold
        """What it comes to.

        Raises:
            UnknownExpressionError: it has something else in it.
        """
        if TOKEN.sub("", self.text).strip():
            raise UnknownExpressionError(f"{self.text.strip()!r}: only names, strings, ==, !=, !, && and || are known")
        self.tokens = TOKEN.findall(self.text)
        found = self._either()
        if self.tokens:
            raise UnknownExpressionError(f"{self.text.strip()!r}: not understood from {self.tokens[0]!r} on")
        return found

    def _either(self) -> Any:  # noqa: ANN401
        found = self._both()
        while self._next("||"):
            other = self._both()
            found = found or other
        return found

    def _both(self) -> Any:  # noqa: ANN401
        found = self._compared()
        while self._next("&&"):
            other = self._compared()
            found = found and other
        return found

    def _compared(self) -> Any:  # noqa: ANN401
        found = self._one()
        if self._next("=="):
            return _comparable(found) == _comparable(self._one())
        if self._next("!="):
            return _comparable(found) != _comparable(self._one())
        return found

    def _one(self) -> Any:  # noqa: ANN401
        if self._next("!"):
            return not self._one()
        if self._next("("):
            found = self._either()
            self._expect(")")
            return found
        if not self.tokens:
            raise UnknownExpressionError(f"{self.text.strip()!r}: ends too early")
        token = self.tokens.pop(0)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        return self._call(token) if self._next("(") else _looked_up(self.names, token)

    def _call(self, function: str) -> bool:
        self._expect(")")
        statuses = {"always": True, "cancelled": False, "success": not self.failed, "failure": self.failed}
        if function not in statuses:
            raise UnknownExpressionError(f"{self.text.strip()!r}: the function {function} is not known")
        return statuses[function]

    def _next(self, token: str) -> bool:
        there = bool(self.tokens) and self.tokens[0] == token
        if there:
            self.tokens.pop(0)
        return there

    def _expect(self, token: str) -> None:
        if not self._next(token):
            raise UnknownExpressionError(f"{self.text.strip()!r}: expected {token}")


def _comparable(value: object) -> object:
    """Strings are compared without case, and what is not there is an empty one (GitHub: operators)."""
    return value.casefold() if isinstance(value, str) else ("" if value is None else value)


def _looked_up(names: Mapping[str, Any], dotted: str) -> Any:  # noqa: ANN401
    if dotted in {"true", "false", "null"}:
        return {"true": True, "false": False, "null": None}[dotted]
    found: Any = names
    for name in dotted.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def filled_in(text: str, names: Mapping[str, Any]) -> str:
    """A text with its `${{ }}` replaced by what they come to."""
    return PLACE.sub(lambda match: _written(Expression(text=match[1], names=names).value()), text)


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def goes_ahead(condition: str | None, names: Mapping[str, Any], *, failed: bool) -> bool:
    """Whether a step with this `if:` is run; without a function of the status in it, only if nothing has failed."""
    text = (condition or "").strip()
    inner = text[3:-2] if text.startswith("${{") and text.endswith("}}") else text
    asks = re.search(r"\b(always|cancelled|success|failure)\(", inner)
    met = not inner or bool(Expression(text=inner, names=names, failed=failed).value())
    return met and (bool(asks) or not failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a step: its exit code, or why it was not run."""

    step: str
    code: int | None
    reason: str = ""


@dataclass(slots=True, kw_only=True)
class Runner:
    """What a job runs in: a workspace, a scratch folder, and the variables that steps hand on."""

    workspace: Path
    scratch: Path
    github: Mapping[str, Any]
    environment: dict[str, str]
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a step has."""
        return any(each.code for each in self.outcomes)

    def job(self, job: Mapping[str, Any], *, defaults: Mapping[str, Any], variables: Mapping[str, Any]) -> None:
        """Runs the steps of a job; `defaults` and `variables` are the workflow's `defaults.run` and `env`."""
        for name, text in {**variables, **job.get("env", {})}.items():
            self.environment[name] = filled_in(str(text), self._names({}, {}))
        settings = {**defaults, **job.get("defaults", {}).get("run", {})}
        self.steps(job["steps"], shell=settings.get("shell"), inputs={}, path=None)

    def steps(
        self, steps: Sequence[Mapping[str, Any]], *, shell: str | None, inputs: Mapping[str, str], path: Path | None
    ) -> dict[str, dict[str, Any]]:
        """Runs steps in order; the outputs of those that have an id.

        Args:
            steps: of a job or of an action.
            shell: the default one.
            inputs: of the action.
            path: the folder of the action.
        """
        known: dict[str, dict[str, Any]] = {}
        for step in steps:
            names = self._names(inputs, known)
            before = len(self.outcomes)
            outputs = self._step(step, names, shell=shell, path=path)
            if "id" in step:
                known[step["id"]] = {"outputs": outputs, "outcome": _ended(self.outcomes[before:])}
        return known

    def _step(
        self, step: Mapping[str, Any], names: Mapping[str, Any], *, shell: str | None, path: Path | None
    ) -> dict[str, str]:
        title = step.get("name") or step.get("uses") or step.get("id") or step["run"].splitlines()[0]
        if not goes_ahead(step.get("if"), names, failed=self.failed):
            self._note(title, None, "skipped: " + (step.get("if") or "an earlier step failed"))
            return {}
        if "run" in step:
            return self._run(step, names, title=title, shell=step.get("shell", shell), path=path)
        if step["uses"].startswith("./"):
            return self._action(step, names, title)
        self._note(title, None, f"not run: {step['uses']}")
        return {}

    def _action(self, step: Mapping[str, Any], names: Mapping[str, Any], title: str) -> dict[str, str]:
        """Runs the steps of an action of this repository."""
        folder = self.workspace / step["uses"]
        action = yaml.safe_load((folder / "action.yml").read_text(encoding="utf-8"))
        defaults = {name: filled_in(str(each.get("default", "")), names) for name, each in action["inputs"].items()}
        given = {name: filled_in(str(value), names) for name, value in step.get("with", {}).items()}
        print(f"\n== {title}: {step['uses']}", flush=True)
        known = self.steps(action["runs"]["steps"], shell=None, inputs={**defaults, **given}, path=folder)
        within = {**names, "steps": known}
        return {name: filled_in(each["value"], within) for name, each in action.get("outputs", {}).items()}

    def _run(
        self, step: Mapping[str, Any], names: Mapping[str, Any], *, title: str, shell: str | None, path: Path | None
    ) -> dict[str, str]:
        files = {name: self.scratch / name.lower() for name in FILES}
        for file in files.values():
            file.write_text("", encoding="utf-8")
        environment = {**self.environment, **{name: str(file) for name, file in files.items()}}
        environment |= {name: filled_in(str(text), names) for name, text in step.get("env", {}).items()}
        environment |= {"GITHUB_ACTION_PATH": str(path)} if path else {}
        script = self.scratch / "step.sh"
        script.write_text(filled_in(step["run"], names), encoding="utf-8")
        print(f"\n== {title}", flush=True)
        folder = self.workspace / filled_in(step.get("working-directory", "."), names)
        command = (*SHELLS[shell], str(script))
        code = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
        self._note(title, 0 if step.get("continue-on-error") else code)
        return self._handed_on(files)

    def _handed_on(self, files: Mapping[str, Path]) -> dict[str, str]:
        self.environment |= pairs(files["GITHUB_ENV"].read_text(encoding="utf-8"))
        added = files["GITHUB_PATH"].read_text(encoding="utf-8").split()
        self.environment["PATH"] = os.pathsep.join([*reversed(added), self.environment["PATH"]])
        with (self.scratch / "summary.md").open("a", encoding="utf-8") as summary:
            summary.write(files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8"))
        return pairs(files["GITHUB_OUTPUT"].read_text(encoding="utf-8"))

    def _note(self, title: str, code: int | None, reason: str = "") -> None:
        self.outcomes.append(Outcome(step=title, code=code, reason=reason))

    def _names(self, inputs: Mapping[str, str], steps: Mapping[str, Any]) -> dict[str, Any]:
        runner = {"temp": self.environment["RUNNER_TEMP"], "os": "Linux"}
        contexts = {"github": self.github, "inputs": inputs, "steps": steps, "runner": runner}
        return {**contexts, "env": self.environment, "vars": {}, "secrets": {}, "needs": {}}


def _ended(outcomes: Sequence[Outcome]) -> str:
    """GitHub's word for a step, or for all steps of an action."""
    codes = [each.code for each in outcomes if each.code is not None]
    return "failure" if any(codes) else "success" if codes else "skipped"


def pairs(text: str) -> dict[str, str]:
    """Name -> value of a file such as GITHUB_OUTPUT: `name=value`, or `name<<END`, lines, `END`."""
    found: dict[str, str] = {}
    lines: Iterator[str] = iter(text.splitlines())
    for line in lines:
        name, is_one_line, value = line.partition("=")
        if "<<" in name:
            name, _, end = line.partition("<<")
            found[name] = "\n".join(takewhile(partial(ne, end), lines))
        elif is_one_line:
            found[name] = value
    return found


def prepared(scratch: Path, *, repository: Path, event: str, base: str | None) -> Runner:
    """A runner with a clone of the repository's last commit.

    Args:
        scratch: an empty folder.
        repository: is read, and nothing else.
        event: what started the workflow, push or pull_request.
        base: what `main` is at the origin; by default what it is in the repository.
    """
    head = _cloned(repository, scratch, base=base)
    (scratch / "temp").mkdir()
    _furnished(scratch / "home")
    github = _github(event, head)
    theirs = {name: text for name, text in os.environ.items() if not name.startswith(("GITHUB_", "VIRTUAL_ENV"))}
    environment = {**theirs, **_variables(github, scratch)}
    return Runner(workspace=scratch / "workspace", scratch=scratch, github=github, environment=environment)


def _cloned(repository: Path, scratch: Path, *, base: str | None) -> str:
    """Makes the origin and the workspace; the commit that is checked out."""
    origin, head = scratch / "origin.git", _git(repository, "rev-parse", "HEAD")
    _git(repository, "clone", "--quiet", "--bare", str(repository), str(origin))
    _git(origin, "update-ref", "refs/heads/main", _git(repository, "rev-parse", base or "HEAD"))
    _git(origin, "update-ref", "refs/heads/head", head)
    _git(scratch, "clone", "--quiet", "--branch", "head", str(origin), str(scratch / "workspace"))
    return head


def _furnished(home: Path) -> None:
    """A home in which steps may write, as on a runner, with your caches and settings."""
    home.mkdir()
    for name in HOME:
        if (Path.home() / name).exists():
            (home / name).symlink_to(Path.home() / name)


def _github(event: str, head: str) -> dict[str, Any]:
    """The context `github`; a pull request is as from a fork, so that no comment is written."""
    pull = {"number": "1", "head": {"repo": {"full_name": f"{NAMED}-fork"}}}
    return {
        "event_name": event,
        "event": {"pull_request": pull if event == "pull_request" else {}},
        "base_ref": "main" if event == "pull_request" else "",
        "repository": NAMED,
        "sha": head,
        "token": "",
    }


def _variables(github: Mapping[str, Any], scratch: Path) -> dict[str, str]:
    """What a runner sets."""
    ours = {"CI": "true", "GITHUB_ACTIONS": "true", "RUNNER_OS": "Linux", "HOME": str(scratch / "home")}
    ours |= {"RUNNER_TEMP": str(scratch / "temp"), "GITHUB_WORKSPACE": str(scratch / "workspace")}
    names = ("event_name", "base_ref", "repository", "sha")
    return ours | {f"GITHUB_{name.upper()}": github[name] for name in names}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(("git", "-C", str(folder), *arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"run_workflow: {done.stderr.strip()}")
    return done.stdout.strip()


def table(outcomes: Sequence[Outcome]) -> str:
    """A line a step."""
    words = ((each.reason or f"exit code {each.code}", each.step) for each in outcomes)
    return "\n".join(f"{step}: {word}" for word, step in words)


def main() -> int:
    """Runs a job; 0 where every step that was run was fine."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("job", metavar="JOB", help="a job of the workflow")
    parser.add_argument("--workflow", default=WORKFLOW, help="its file; default: %(default)s")
    parser.add_argument("--event", choices=("pull_request", "push"), default="pull_request")
    parser.add_argument("--base", help="the revision that main has at the origin; default: HEAD")
    parser.add_argument("--repository", type=Path, default=REPOSITORY, help="default: the one of this script")
    parser.add_argument("--keep", action="store_true", help="leave the clone there, and say where")
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="run-workflow-"))
    try:
        runner = prepared(scratch, repository=given.repository, event=given.event, base=given.base)
        workflow = yaml.safe_load((runner.workspace / given.workflow).read_text(encoding="utf-8"))
        if given.job not in workflow["jobs"]:
            parser.error(f"{given.job}: {given.workflow} has the jobs {', '.join(workflow['jobs'])}")
        defaults = workflow.get("defaults", {}).get("run", {})
        runner.job(workflow["jobs"][given.job], defaults=defaults, variables=workflow.get("env", {}))
        print(f"\n== {given.job}\n{table(runner.outcomes)}")
        return int(runner.failed)
    finally:
        if given.keep:
            print(f"kept: {scratch}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
