"""int8bench on a system that is no Linux, played: an interpreter that says so, and lacks what that system lacks.

`python elsewhere.py SYSTEM CODE ...`; ELSEWHERE_WITHOUT names packages that CODE never imports. Other projects'
packages, and Python's own, are imported before the curtain rises and keep the `os` that they have, since they would
look for the libraries of the system that is played.
"""

import importlib
import os
import platform
import signal
import sys
import types

OTHERS = (  # all that the four commands import, directly or not
    *(
        "asyncio",
        "multiprocessing.connection",
        "subprocess",
        "tempfile",
        "numpy",
        "psutil",
        "typer.main",
        "rich.console",
    ),
    *(
        "rich.progress",
        "jsonschema",
        "jinja2",
        "scipy.stats",
        "torch",
        "asv.results",
        "cpuinfo",
        "pytest",
        "hypothesis",
    ),
    *("pytest_benchmark.plugin", "packaging.requirements"),
)
# A mac has fcntl and resource; that they are hidden there too shows that no command needs them.
ABSENT = {
    "darwin": ("fcntl", "resource"),
    "win32": ("fcntl", "resource", "grp", "pwd", "termios", "tty", "pty", "_posixsubprocess", "_posixshmem"),
}
LINUXES_OWN = ("sched_getaffinity", "sched_setaffinity", "pidfd_open", "memfd_create")
POSIXES_OWN = ("fork", "killpg", "setsid", "sysconf", "getuid", "waitid", "O_DIRECTORY", "O_NOFOLLOW")


def play(system: str) -> None:
    """Makes this interpreter one of that system, as far as a program asks it."""
    without = os.environ.get("ELSEWHERE_WITHOUT", "").split(",")
    for name in [each for each in OTHERS if each not in without]:
        importlib.import_module(name)
    theirs = types.SimpleNamespace(**vars(os))
    for module in list(sys.modules.values()):
        if vars(module).get("os") is os:
            module.os = theirs
    for name in ABSENT[system]:
        sys.modules[name] = None  # type: ignore[assignment]  # so that an import of it is an ImportError
    windows = system == "win32"
    for name in (*LINUXES_OWN, *(POSIXES_OWN if windows else ())):
        if hasattr(os, name):
            delattr(os, name)
    if windows:
        del signal.SIGKILL, signal.SIGALRM, signal.setitimer
    sys.platform = system
    platform.system = lambda: {"darwin": "Darwin", "win32": "Windows"}[system]


if __name__ == "__main__":
    _, played, code, *arguments = sys.argv
    sys.path.pop(0)
    play(played)
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})  # noqa: S102  the test's own program
