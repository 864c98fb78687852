"""`python -m wxrc_service` in a process of its own, forked by one that has it loaded: tests start hundreds, and loading takes most of
the time of a short command.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["wxrc_service.cli"])


class Forked:
    """A `wxrc` command that runs; it can be asked and told what a `subprocess.Popen` can.

    Attributes:
        pid: The process id.
    """

    def __init__(
        self, arguments: Sequence[str], *, cwd: Path | None, env: Mapping[str, str], stdout: Path, stderr: Path
    ) -> None:
        """Start it.

        Args:
            arguments: The subcommand and its arguments.
            cwd: Where it runs; None = here.
            env: All of its environment.
            stdout: The file that its output is added to.
            stderr: The same for errors.
        """
        self._process = _CONTEXT.Process(
            target=_run, args=(list(arguments), str(cwd or Path.cwd()), dict(env), str(stdout), str(stderr))
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return its exit code, less than 0 for a signal; None = it runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        """Wait for its end (seconds), and return its exit code."""
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired("wxrc", timeout)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], cwd: str, env: dict[str, str], stdout: str, stderr: str) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, stdout, os.O_WRONLY | os.O_APPEND | os.O_CREAT),
        (2, stderr, os.O_WRONLY | os.O_APPEND | os.O_CREAT),
    ):
        opened = os.open(path, flags, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    if path := env.get(
        "PYTHONPATH"
    ):  # puppets of other packages are looked for while the command is loaded: load it again
        sys.path[1:1] = path.split(os.pathsep)
        for name in [each for each in sys.modules if each.startswith("wxrc_")]:
            del sys.modules[name]
    sys.argv[1:] = arguments
    runpy.run_module("wxrc_service", run_name="__main__", alter_sys=True)
