"""Workflows, the action, and what CI.md says of them: linted, made of commands that exist, and run as written."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml

from int8bench import cli
from int8bench.tracking import scaffold

REPOSITORY = Path(__file__).parents[1]
WORKFLOW = REPOSITORY / ".github" / "workflows" / "ci.yml"
ACTION = REPOSITORY / ".github" / "actions" / "gate" / "action.yml"
SCRIPT = REPOSITORY / "scripts" / "run_workflow.py"
CI_PAGE = (REPOSITORY / "CI.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
# Shell that is no command of the README or the Makefile: every other line has to be one.
LISTED = {
    "chromium --version",
    "chromedriver --version",
    "found=$(git ls-remote origin refs/heads/asv-results)",
    'if [ -n "$found" ]; then',
    "mkdir -p .asv",
    "git fetch --quiet origin refs/heads/asv-results",
    "git archive FETCH_HEAD | tar -x -C .asv",
    "fi",
    "machine=$(python -c 'from int8bench import machine; print(machine.fingerprint(machine.detect()))')",
    "found=$(git ls-remote origin refs/heads/asv-results | cut -f 1)",
    'export GIT_DIR="$PWD/.git" GIT_INDEX_FILE="$RUNNER_TEMP/asv-results.index"',
    "git -C .asv --work-tree=. add --force results",
    'saved=$(git commit-tree "$(git write-tree)" ${found:+-p "$found"} -m "Results of $GITHUB_SHA")',
    'git push --quiet origin "$saved:refs/heads/asv-results"',
    "python -m pip install . int8bench",
    "python -m pip install .",
    "python -m venv .venv",
    'echo "$PWD/.venv/bin" >> "$GITHUB_PATH"',
    "python -m pytest tests/perf --benchmark-json=pytest-benchmark.json",
    'base=$(git merge-base "origin/$GITHUB_BASE_REF" HEAD)',
    "base=${CI_MERGE_REQUEST_TARGET_BRANCH_SHA:-$CI_MERGE_REQUEST_DIFF_BASE_SHA}",
    "code=0",
    'if [ -s gate.md ]; then tee -a "$GITHUB_STEP_SUMMARY" < gate.md; fi',
    'exit "$code"',
    "mv .asv/html public",
    "apt install chromium chromium-driver",
}


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    """The script that runs workflows here."""
    spec = importlib.util.spec_from_file_location("run_workflow", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def template() -> str:
    """The workflow that `int8bench init` writes."""
    subject = scaffold.ScaffoldSubject(model="pkg.models:make", input_shape="3x32x32", data="digits", engine="fbgemm")
    return scaffold.contents(subject, project="p", packaged=True)[".github/workflows/int8bench.yml"]


def snippets() -> list[str]:
    """The YAML of CI.md: first for GitHub, then for GitLab; a revision stands where a person puts one."""
    found = [text for language, text in BLOCK.findall(CI_PAGE) if language == "yaml"]
    return [text.replace("@REVISION", f"@{'a' * 40}") for text in found]


DOCUMENTS: dict[str, tuple[str, Callable[[], str]]] = {
    "workflow": ("vendor.github-workflows", lambda: WORKFLOW.read_text(encoding="utf-8")),
    "action": ("vendor.github-actions", lambda: ACTION.read_text(encoding="utf-8")),
    "template": ("vendor.github-workflows", template),
    "github-snippet": ("vendor.github-workflows", lambda: snippets()[0]),
    "gitlab-snippet": ("vendor.gitlab-ci", lambda: snippets()[1]),
}
OF_GITHUB = [name for name in DOCUMENTS if name != "gitlab-snippet"]


def schema_complaints(name: str, text: str, folder: Path) -> str:
    """What the schema says against a text; nothing is fetched, the schemas come with the linter."""
    path = folder / "document.yml"
    path.write_text(text, encoding="utf-8")
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", DOCUMENTS[name][0], str(path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def security_complaints(name: str, text: str, folder: Path) -> str:
    """What zizmor says against a text, without asking anybody."""
    path = folder / ("action.yml" if name == "action" else "workflow.yml")
    path.write_text(text, encoding="utf-8")
    program = Path(sysconfig.get_path("scripts")) / "zizmor"
    command = (str(program), "--offline", "--quiet", "--no-config", "--strict-collection", str(path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_follows_its_schema(name: str, tmp_path: Path) -> None:
    """Of workflows, actions and GitLab's pipelines, as their makers publish them."""
    assert schema_complaints(name, DOCUMENTS[name][1](), tmp_path) == ""


@pytest.mark.parametrize("name", OF_GITHUB)
def test_a_document_gives_nothing_away(name: str, tmp_path: Path) -> None:
    """No permission too many, no action that can change under it, no text of strangers in a script."""
    assert security_complaints(name, DOCUMENTS[name][1](), tmp_path) == ""


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("workflow", "timeout-minutes: 10\n", "timeout-minute: 10\n"),
        ("workflow", "    runs-on: ubuntu-latest\n", ""),
        ("action", "using: composite", "using: bash"),
        ("action", "description: Whether", "descriptions: Whether"),
        ("template", "cancel-in-progress", "cancel-at-once"),
        ("github-snippet", "    steps:\n", "    step:\n"),
        ("gitlab-snippet", "  interruptible: true", "  interruptible: perhaps"),
        ("gitlab-snippet", "    when: always\n    paths", "    when: perhaps\n    paths"),
    ],
)
def test_a_broken_document_is_found_by_its_schema(name: str, right: str, wrong: str, tmp_path: Path) -> None:
    """The schemas can fail."""
    text = DOCUMENTS[name][1]()
    assert right in text
    assert schema_complaints(name, text.replace(right, wrong), tmp_path) != ""


@pytest.mark.parametrize(
    ("name", "right", "wrong", "rule"),
    [
        (
            "workflow",
            "permissions:\n      contents: read # to check out\n    st",
            "permissions: write-all\n    st",
            "excessive-permissions",
        ),
        ("workflow", "@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "@v6", "unpinned-uses"),
        ("workflow", "          persist-credentials: false\n", "", "artipacked"),
        ("action", "base=$GIVEN", "base=${{ inputs.base }}", "template-injection"),
        ("template", "run: asv publish", "run: echo ${{ github.head_ref }}", "template-injection"),
        ("github-snippet", "on: pull_request", "on: pull_request_target", "dangerous-triggers"),
    ],
)
def test_a_document_that_gives_something_away_is_found(
    name: str, right: str, wrong: str, rule: str, tmp_path: Path
) -> None:
    """The audits can fail."""
    text = DOCUMENTS[name][1]()
    assert right in text
    assert f"[{rule}]" in security_complaints(name, text.replace(right, wrong), tmp_path)


def steps(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every step of a workflow or an action."""
    yield from document["runs"]["steps"] if "runs" in document else ()
    for job in document.get("jobs", {}).values():
        yield from job["steps"]


def test_every_document_takes_the_same_actions() -> None:
    """At the same commits, so that an update is made everywhere or nowhere."""
    used = {step["uses"] for name in OF_GITHUB for step in steps(yaml.safe_load(DOCUMENTS[name][1]()))
            if not step.get("uses", "./").startswith(("./", "OWNER"))}  # fmt: skip
    assert len(used) == len({each.partition("@")[0] for each in used}) >= 6


def test_results_are_kept_the_same_way_here_and_in_the_template() -> None:
    """Step by step, but for the folder of the environment."""
    own, written = (yaml.safe_load(DOCUMENTS[name][1]()) for name in ("workflow", "template"))
    scripts = {
        step.get("name"): step.get("run", "").replace(".venv/bin/", "") for step in own["jobs"]["history"]["steps"]
    }
    theirs = {step.get("name"): step.get("run", "") for step in written["jobs"]["history"]["steps"]}
    shared = scripts.keys() & theirs.keys() - {None}
    assert len(shared) == 5
    assert {name: scripts[name] for name in shared} == {name: theirs[name] for name in shared}


def lines(text: str) -> list[str]:
    """The lines of a script, joined where they go on, without redirection and what is made of their exit code."""
    whole = re.sub(r"\\\n\s*", "", text).splitlines()
    stripped = [line.strip() for line in whole if line.strip() and not line.lstrip().startswith("#")]
    return [re.sub(r"( > [\w.]+)?( \|\| (code=\$\?|test \$\? -eq 1))?$", "", line) for line in stripped]


def parsed(words: list[str]) -> None:
    """Parses with the real command line, and runs nothing; of a command by its name alone, the name."""
    group = typer.main.get_command(cli.app)
    if len(words) == 1:
        assert words[0] in group.commands
        return
    with group.make_context("int8bench", list(words)) as context:
        name, command, rest = group.resolve_command(context, list(words))
        command.make_context(name, rest, parent=context)


def target(words: list[str]) -> None:
    """A target of the Makefile; variables behind it are ones that the Makefile knows."""
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for word in words:
        variable, is_set, _ = word.partition("=")
        assert re.search(rf"^{variable} \?=" if is_set else rf"^{word}:", text, re.MULTILINE), f"no {word}"


@pytest.mark.parametrize("name", ["gate", "duet", "compare", "selftest"])
def test_a_command_or_a_target_that_vanishes_is_missed(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A line that calls it is red then: not skipped, as if it were still to come."""
    group = typer.main.get_command(cli.app)
    del group.commands[name]
    monkeypatch.setattr(typer.main, "get_command", lambda _: group)
    (tmp_path / "Makefile").write_text("test:\n\ttrue\n", encoding="utf-8")
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    for rule in (parsed, target):
        try:
            with pytest.raises((AssertionError, typer.TyperException)):
                rule([name])
        except pytest.skip.Exception:
            pytest.fail(f"{rule.__name__} skips {name}")


def asv(words: list[str]) -> None:
    """Parses with asv's own command line, and runs nothing."""
    from asv.commands import make_argparser

    parser, _ = make_argparser()
    parser.parse_args(words)


def ran_workflow(words: list[str]) -> None:
    """Our script, on a job that the workflow has, with options of its help."""
    assert words[0] == "scripts/run_workflow.py"
    assert words[1] in yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    known = subprocess.run((sys.executable, str(SCRIPT), "--help"), capture_output=True, text=True, check=True).stdout
    assert all(word in known for word in words[2:] if word.startswith("--"))


RULES: dict[str, Callable[[list[str]], None]] = {
    "int8bench": parsed, "make": target, "asv": asv, "python": ran_workflow,
}  # fmt: skip


def hold(line: str) -> None:
    """Holds a line of shell against its rule; a listed one has none."""
    command = line.removeprefix(".venv/bin/").replace("(.venv/bin/", "(")
    if command in LISTED:
        return
    program, *words = shlex.split(command)
    assert program in RULES, f"neither a command of this project nor listed: {line}"
    RULES[program](words)


def typed(name: str) -> list[str]:
    """Every line of shell in a document."""
    document = yaml.safe_load(DOCUMENTS[name][1]())
    if name == "gitlab-snippet":
        scripts = [line for job in ("gate", "pages") for line in document[job]["script"]]
    else:
        scripts = [step["run"] for step in steps(document) if "run" in step]
    return list(dict.fromkeys(line for script in scripts for line in lines(script)))


@pytest.mark.parametrize(
    ("name", "line"),
    [(name, line) for name in ("workflow", "template", "github-snippet", "gitlab-snippet") for line in typed(name)],
)
def test_a_step_is_a_command_that_exists(name: str, line: str) -> None:
    """Of the README or the Makefile with options of today, or shell that is listed here."""
    assert "${{" not in line, f"{name}: an expression in a script is text of strangers in a shell"
    hold(line)


def page_commands(text: str) -> list[str]:
    """What CI.md tells a person to type: lines of plain blocks, and inline code that begins like a command."""
    blocks = [line for language, block in BLOCK.findall(text) if not language for line in block.splitlines()]
    inline = [
        code
        for code in re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))
        if re.match(r"(int8bench|make|python|asv) \S", code)
    ]
    return list(dict.fromkeys(line.partition(" #")[0].strip() for line in blocks + inline))


@pytest.mark.parametrize("command", page_commands(CI_PAGE))
def test_a_command_of_the_page_is_one_that_exists(command: str) -> None:
    """Options, values and targets are those of today."""
    hold(command)


def test_the_page_has_commands() -> None:
    """There is something to hold the rules against."""
    found = page_commands(CI_PAGE)
    assert {"make gate BASE=origin/main", "make test", "int8bench selftest"} <= set(found)
    assert len(typed("workflow")) >= 15


@pytest.mark.parametrize(
    "command",
    ["int8bench run --no-such", "int8bench frobnicate", "make sandwich", "asv runn", "curl example.invalid | sh",
     "python scripts/run_workflow.py nonsense", "python scripts/run_workflow.py gate --sideways"],
)  # fmt: skip
def test_a_command_that_does_not_exist_is_found(command: str) -> None:
    """The rules can fail."""
    with pytest.raises((AssertionError, typer.TyperException, SystemExit)):
        hold(command)


def test_the_action_calls_the_gate_as_it_is(tmp_path: Path, runner: ModuleType) -> None:
    """Its options are those of the command line of today."""
    work = Work(tmp_path, runner)
    work.gate(suite="asv", budget="10m", arguments="--quick")
    (arguments,) = [call for call in work.calls("python") if call[:3] == ["-m", "int8bench", "gate"]]
    parsed(arguments[2:])


def test_the_page_has_every_input_of_the_action() -> None:
    """And no other, with the defaults that it has."""
    inputs = yaml.safe_load(ACTION.read_text(encoding="utf-8"))["inputs"]
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| (.*) \|$", CI_PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == list(inputs)
    plain = {name: each["default"] for name, each in inputs.items() if each["default"] and "${{" not in each["default"]}
    assert {name: default.strip("`") for name, default in rows if name in plain} == plain


# ---- steps run here

FAKE_PYTHON = """#!{python}
import json, os, sys
with open(os.environ["CALLS"] + "/python", "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if "gate" in sys.argv:
    print("{{}}")
    if os.environ.get("TABLE"):
        open(sys.argv[sys.argv.index("--markdown") + 1], "w").write(os.environ["TABLE"])
    sys.exit(int(os.environ["CODE"]))
"""
FAKE_GH = """#!{python}
import json, os, sys
with open(os.environ["CALLS"] + "/gh", "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if os.environ.get("REFUSED"):
    sys.exit(1)
if "--paginate" in sys.argv:
    print(os.environ.get("COMMENTS", ""))
"""


class Work:
    """A repository with a commit beside main, which has gone on, and what the steps of the action did there."""

    def __init__(self, folder: Path, runner: ModuleType) -> None:
        """Makes it."""
        self.folder = folder
        self.module = runner
        self.repository = folder / "repository"
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name, text in (("python", FAKE_PYTHON), ("gh", FAKE_GH)):
            (self.programs / name).write_text(text.format(python=sys.executable), encoding="utf-8")
            (self.programs / name).chmod(0o755)
        (self.repository / ".github" / "actions" / "gate").mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch", "main")
        (self.repository / ".github" / "actions" / "gate" / "action.yml").write_bytes(ACTION.read_bytes())
        self.base = self.commit("base")
        self.target = self.commit("main has gone on")
        self.git("checkout", "--quiet", "-b", "work", self.base)
        self.head = self.commit("head")

    def git(self, *arguments: str) -> str:
        """What git says there."""
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")
        command = ("git", "-C", str(self.repository), *identity, *arguments)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def commit(self, name: str) -> str:
        """A commit with all that is there."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", name)
        return self.git("rev-parse", "HEAD")

    def runner(self, event: str = "pull_request", base: str | None = None, **variables: str) -> Any:
        """A runner of a clone, with the programs that only take notes found first."""
        scratch = self.folder / "scratch"
        scratch.mkdir()
        found = self.module.prepared(scratch, repository=self.repository, event=event, base=base)
        found.environment |= {"CALLS": str(self.folder), "CODE": "0", "TABLE": "| a table |", **variables}
        found.environment["PATH"] = f"{self.programs}{os.pathsep}{found.environment['PATH']}"
        return found

    def gate(self, runner: Any = None, **inputs: str) -> Any:
        """Runs the action with inputs; the runner."""
        used = runner or self.runner(base=self.target)
        used.job({"steps": [{"uses": "./.github/actions/gate", "with": inputs}]}, defaults={}, variables={})
        return used

    def calls(self, program: str) -> list[list[str]]:
        """The arguments of every call of a program."""
        path = self.folder / program
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@pytest.fixture
def work(tmp_path: Path, runner: ModuleType) -> Work:
    """A repository for the action."""
    return Work(tmp_path, runner)


def _owned(runner: Any) -> Any:
    """The same pull request, from a branch of the repository itself."""
    runner.github["event"]["pull_request"]["head"]["repo"]["full_name"] = runner.github["repository"]
    return runner


@pytest.mark.parametrize(
    ("event", "given", "expected"), [("pull_request", "", "base"), ("push", "", "base"), ("push", "v1", "v1")]
)
def test_the_base_is_the_merge_base_or_the_parent_or_the_one_that_is_given(
    work: Work, event: str, given: str, expected: str
) -> None:
    """A pull request is compared with where it left its target, however far that has gone on."""
    runner = work.runner(event, base=work.target)
    work.gate(runner, base=given)
    (call,) = [call for call in work.calls("python") if "gate" in call]
    assert call[:5] == ["-m", "int8bench", "gate", "--base", work.base if expected == "base" else expected]
    assert "--budget" not in call
    assert "--suite" not in call


def test_a_shallow_clone_is_a_sentence(work: Work) -> None:
    """With what to type, and nothing is measured."""
    runner = work.runner(base=work.target)
    subprocess.run(("git", "-C", str(runner.workspace), "update-ref", "-d", "refs/remotes/origin/main"), check=True)
    work.gate(runner)
    assert runner.failed
    assert runner.outcomes[0].code == 2
    assert not [call for call in work.calls("python") if "gate" in call]


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_the_action_fails_by_the_exit_code_of_the_gate(work: Work, code: int) -> None:
    """The table is in the summary and in the artifact's folder whatever it is."""
    runner = work.runner(base=work.target, CODE=str(code))
    work.gate(runner)
    gate = next(each for each in runner.outcomes if each.step == "Gate")
    assert gate.code == code
    assert (runner.scratch / "summary.md").read_text(encoding="utf-8") == "| a table |"
    assert (runner.scratch / "temp/int8bench-gate/gate.json").read_text(encoding="utf-8") == "{}\n"
    uploaded = next(each for each in runner.outcomes if each.step == "Every comparison")
    assert uploaded.reason.startswith("not run: actions/upload-artifact@")


def test_a_gate_that_says_nothing_is_said_so(work: Work) -> None:
    """The summary has its exit code and where to look."""
    runner = work.runner(base=work.target, CODE="2", TABLE="")
    work.gate(runner)
    assert "exit code 2" in (runner.scratch / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("comments", "method"), [("", "POST"), ("7\n8", "PATCH")])
def test_a_pull_request_has_one_comment(work: Work, comments: str, method: str) -> None:
    """It is made once and then written anew, red or green, and begins with the mark that it is found by."""
    runner = _owned(work.runner(base=work.target, CODE="1", COMMENTS=comments))
    work.gate(runner)
    _, written = work.calls("gh")
    where = "issues/comments/7" if method == "PATCH" else "issues/1/comments"
    assert written[:4] == ["api", "--method", method, f"repos/{runner.github['repository']}/{where}"]
    text = Path(written[-1].removeprefix("body=@")).read_text(encoding="utf-8")
    assert text == "<!-- int8bench gate -->\n| a table |"


def test_a_comment_that_is_refused_changes_no_verdict(work: Work, capfd: pytest.CaptureFixture[str]) -> None:
    """It is a warning."""
    runner = _owned(work.runner(base=work.target, REFUSED="yes"))
    work.gate(runner)
    assert "::warning::No comment was written" in capfd.readouterr().out
    assert not runner.failed


@pytest.mark.parametrize("why", ["fork", "asked", "push"])
def test_no_comment_where_none_may_be_written(work: Work, why: str) -> None:
    """Not from a fork, not against the input, not without a pull request."""
    runner = work.runner("push" if why == "push" else "pull_request", base=work.target)
    work.gate(_owned(runner) if why == "asked" else runner, comment="false" if why == "asked" else "true")
    assert work.calls("gh") == []
    assert not runner.failed


def test_results_are_kept_from_push_to_push(work: Work) -> None:
    """Two runs one after the other, in clones of their own, each find what was saved before; main stays as it is."""
    kept = {"Earlier results, from the branch asv-results", "Save the results in the branch asv-results"}
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    earlier, save = (step for step in workflow["jobs"]["history"]["steps"] if step.get("name") in kept)
    first = work.runner("push")
    origin = first.scratch / "origin.git"
    for number in (1, 2):
        workspace = work.folder / f"clone{number}"
        subprocess.run(("git", "clone", "--quiet", str(origin), str(workspace)), check=True)
        runner = work.module.Runner(
            workspace=workspace, scratch=first.scratch, github=first.github, environment=first.environment
        )
        measure = {"run": f"mkdir -p .asv/results/m && echo {number} > .asv/results/m/{number}.json"}
        runner.job({"steps": [earlier, measure, save]}, defaults={"shell": "bash"}, variables={})
        assert not runner.failed, runner.outcomes
        assert (
            subprocess.run(
                ("git", "-C", workspace, "status", "--porcelain", "-uno"), capture_output=True, check=True
            ).stdout
            == b""
        )
        (first.scratch / "temp/asv-results.index").unlink()  # each run has a scratch folder of its own
    listed = subprocess.run(
        ("git", "-C", str(origin), "ls-tree", "-r", "--name-only", "asv-results"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.split() == ["results/m/1.json", "results/m/2.json"]
    count = ("git", "-C", str(origin), "rev-list", "--count", "asv-results")
    assert subprocess.run(count, capture_output=True, text=True, check=True).stdout.strip() == "2"
    assert work.git("branch", "--list", "asv-results") == ""


STUB = """
env:
  EVENT: ${{ github.event_name }}
defaults:
  run: {shell: bash}
jobs:
  stub:
    steps:
      - uses: actions/checkout@v6
      - id: one
        run: |
          printf 'word=two words\\nlong<<END\\na\\nb\\nEND\\n' >> "$GITHUB_OUTPUT"
          echo "HANDED=on" >> "$GITHUB_ENV"
          echo "$PWD/tools" >> "$GITHUB_PATH"
          echo "# summary" >> "$GITHUB_STEP_SUMMARY"
          mkdir tools && printf '#!/bin/sh\\necho tool' > tools/a-tool && chmod +x tools/a-tool
      - name: reads
        env: {WORD: '${{ steps.one.outputs.word }}', LONG: '${{ steps.one.outputs.long }}'}
        run: echo "$WORD/$LONG/$HANDED/$EVENT/$(a-tool)/$(git rev-parse HEAD)/$CI" | tr '\\n' ' '
      - if: github.event_name == 'push'
        name: elsewhere
        run: exit 9
      - name: fails
        run: false | cat
      - name: after
        run: echo not reached
      - name: all the same
        if: ${{ !cancelled() && steps.one.outcome == 'success' }}
        run: echo cleaned up
"""


def test_a_job_is_run_as_written(work: Work) -> None:
    """Outputs, variables, paths and summary are handed on; a failure stops all but what says otherwise; pipes count."""
    (work.repository / "stub.yml").write_text(STUB, encoding="utf-8")
    head = work.commit("stub")
    command = (sys.executable, str(SCRIPT), "stub", "--workflow", "stub.yml", "--repository", str(work.repository))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert f"two words/a b/on/pull_request/tool/{head}/true" in done.stdout
    assert "cleaned up" in done.stdout
    assert "not reached" not in done.stdout
    *_, listed = done.stdout.partition("\n== stub\n")
    assert listed.splitlines() == [
        "actions/checkout@v6: not run: actions/checkout@v6",
        "one: exit code 0",
        "reads: exit code 0",
        "elsewhere: skipped: github.event_name == 'push'",
        "fails: exit code 1",
        "after: skipped: an earlier step failed",
        "all the same: exit code 0",
    ]
    assert work.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("github.event_name == 'PUSH'", True),
        ("github.event_name != 'push' || !github.nothing", True),
        ("github.nothing == ''", True),
        ("!(github.yes && github.no)", True),
        ("github.no || github.event_name", "push"),
        ("failure() && always()", True),
        ("success() || cancelled()", False),
        ("'it''s'", "it's"),
        ("true && null", None),
    ],
)
def test_expressions_come_to_what_github_makes_of_them(runner: ModuleType, text: str, expected: object) -> None:
    """Of those that the workflows here need, in a job in which a step has failed."""
    names = {"github": {"event_name": "push", "yes": True, "no": False}}
    assert runner.Expression(text=text, names=names, failed=True).value() == expected


@pytest.mark.parametrize("text", ["hashFiles('x')", "github.a ==", "(github.a", "github.a github.b", "1 < 2", ""])
def test_an_expression_that_is_not_understood_is_never_guessed(runner: ModuleType, text: str) -> None:
    """It stops the run."""
    with pytest.raises(runner.UnknownExpressionError):
        runner.Expression(text=text, names={"github": {}}).value()


def test_a_job_that_is_not_there_is_a_sentence(work: Work) -> None:
    """With those that are."""
    (work.repository / "stub.yml").write_text(STUB, encoding="utf-8")
    work.commit("stub")
    command = (sys.executable, str(SCRIPT), "no", "--workflow", "stub.yml", "--repository", str(work.repository))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "stub.yml has the jobs stub" in done.stderr
