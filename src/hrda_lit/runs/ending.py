"""How a run that a signal stopped ends: how to go on, in Slurm's queue again if asked for, and the exit code."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hrda_lit.runs.claim import is_first_process
from hrda_lit.system.signals import REQUEUE, Stopped

_PLAIN = re.compile(r"[\w/.:+@%-]+", re.ASCII)


def again(module: str, arguments: Sequence[str], folder: Path, sweep: bool) -> str:
    """Write the command that goes on.

    Args:
        module: e.g. "hrda_lit.train".
        arguments: of this command.
        folder: of the run or the sweep.
        sweep: which of the two it is.

    Returns:
        A line for a shell.
    """
    key = "hydra.sweep.dir" if sweep else "hydra.run.dir"
    kept = [argument for argument in arguments if argument.split("=")[0] not in (key, "resume")]
    place = hydras(str(folder))  # quoted for Hydra, and below for the shell
    given = [f"{key}={place}"] if sweep else [f"{key}={place}", "resume=auto"]
    return shlex.join(["python", "-m", module, *kept, *given])


def hydras(text: str) -> str:
    """Quote a value as Hydra wants it, if it needs that."""
    return text if _PLAIN.fullmatch(text) else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def end(stopped: Stopped, command: str) -> int:
    """Say what happened and how to go on; put a job into Slurm's queue again where Slurm asked for it.

    Args:
        stopped: what ended the run.
        command: that goes on.

    Returns:
        The exit code: 0 for a job that is in the queue again, else 128 + the number of the signal.
    """
    if not is_first_process():
        return 0  # the first process speaks; a failure here would have the others killed
    requeued = stopped.signum == REQUEUE and requeue()
    print(f"{stopped}; {'it is in the queue again' if requeued else 'go on with'}: {command}", file=sys.stderr)
    return 0 if requeued else stopped.code


def requeue() -> bool:
    """Put this Slurm job into the queue again; return whether that worked."""
    job, array = os.environ.get("SLURM_JOB_ID", ""), os.environ.get("SLURM_ARRAY_JOB_ID")
    if array is not None:
        job = f"{array}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    if not re.fullmatch(r"\d+(_\d+)?", job):
        return False
    try:
        return subprocess.run(["scontrol", "requeue", job], check=False, timeout=60).returncode == 0
    except (OSError, subprocess.SubprocessError) as error:
        print(f"warning: scontrol requeue {job} did not work: {error}", file=sys.stderr)
        return False
