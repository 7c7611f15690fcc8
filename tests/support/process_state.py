"""What belongs to the whole process: a test that changes any of it and does not put it back changes the tests after it."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import resource
except ImportError:  # Windows
    resource = None

# SIGALRM is pytest-timeout's, and torch's DataLoader watches its workers by SIGCHLD from its first use on.
OF_PYTEST = (
    {"PYTEST_CURRENT_TEST", "PYTEST_XDIST_TESTRUNUID"},
    {signal.SIGALRM, signal.SIGCHLD} if os.name == "posix" else set(),
)


def _scheduling(thread: Path) -> str:
    try:
        return f"policy {os.sched_getscheduler(int(thread.name))}"
    except ProcessLookupError:  # it has just ended
        return ""


def process_state() -> dict[str, object]:
    """What there is to change -> how it is now."""
    import torch

    variables, signals = OF_PYTEST
    state = {
        "the working directory": Path.cwd(),
        "the place of temporary files": tempfile.gettempdir(),
        "torch's number of threads": torch.get_num_threads(),
        "the garbage collector": gc.isenabled(),
    }
    state |= {f"the variable {name}": value for name, value in os.environ.items() if name not in variables}
    state |= {f"the handler of {number!r}": signal.getsignal(number) for number in signal.valid_signals() - signals}
    if resource:
        kinds = [name for name in dir(resource) if name.startswith("RLIMIT_")]
        state |= {name: resource.getrlimit(getattr(resource, name)) for name in kinds}
        state["the niceness"] = os.getpriority(os.PRIO_PROCESS, 0)
    if sys.platform == "linux":
        state["the scheduling of threads"] = set(filter(None, map(_scheduling, Path("/proc/self/task").iterdir())))
        state["the processors"] = os.sched_getaffinity(0)
        state["the umask"] = re.search(r"Umask:\s*(\d+)", Path("/proc/self/status").read_text())[1]
    return state


@contextmanager
def process_state_kept() -> Iterator[None]:
    """Fails at its end if anything of the process is not as it was at its beginning."""
    before = process_state()
    yield
    after = process_state()
    changed = [what for what in before | after if before.get(what) != after.get(what)]
    assert not changed, f"left changed: {', '.join(changed)}"  # no values: variables hold secrets
