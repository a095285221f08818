"""Kill real trainings at random moments, start them again, and compare them with undisturbed ones.

    python -m tests.end_to_end.kills --demo DATA --folder OUT --kills 200

Trainings are forked from this process, which has imported everything already, but computed nothing.
"""

import argparse
import contextlib
import csv
import itertools
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import torch

from hrda_lit.system.signals import Stopped
from hrda_lit.train import train

from .compose import smoke

EXPERIMENTS = ("source_only_demo", "hrda_demo", "mic_demo")
PRECISIONS = ("32-true", "bf16-mixed")
ALL = list(itertools.product(EXPERIMENTS, PRECISIONS))
FEW = list(zip(EXPERIMENTS, itertools.cycle(PRECISIONS), strict=False))  # each method and each precision
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STEPS = (
    "trainer.max_steps=5", "trainer.val_check_interval=2", "trainer.limit_val_batches=1", "inference=whole",
    "source.size=[128,256]", "target.size=[128,256]", "val.size=[128,256]", "callbacks.progress=null",
    "callbacks.pictures=null", "callbacks.confusion=null", "resume=auto",
    "network.backbone.options.channels=[8,8,16,16]", "network.backbone.options.stem_width=8",
)  # fmt: skip
MEASURED = {"train/throughput", "train/memory"}  # of the machine, not of the run


def start(folder: Path, demo: Path, experiment: str, precision: str, workers: int) -> int:
    """Fork a training and return the id of its process."""
    loading = (f"loading.num_workers={workers}", f"loading.val_workers={min(workers, 1)}")
    config = smoke(folder, demo, experiment, f"trainer.precision={precision}", *loading, *STEPS)
    folder.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    if process := os.fork():
        return process
    code = 1
    try:
        os.setsid()  # a group of its own, as a shell gives to a command
        torch.set_num_threads(1)  # makes torch's pool anew here, which threads of a forked process cannot do at once
        log = os.open(folder.with_suffix(".log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        train(config)
        code = 0
    except Stopped as stopped:
        code = stopped.code
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def warm_up(folder: Path, demo: Path) -> None:
    """Import what a training imports; a process that computed gradients could not fork others that do."""
    never = ("+callbacks.kill._target_=tests.end_to_end.kill.Kill", "+callbacks.kill.step=0")
    with contextlib.suppress(RuntimeError):
        train(smoke(folder, demo, "mic_demo", *STEPS, *never))


def finish(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill(process: int, after: float, signum: int, group: bool) -> tuple[bool, int]:
    """Send a signal after some seconds, to the process or to its loaders too; return whether it was still there."""
    end = time.monotonic() + after
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return False, os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    (os.killpg if group else os.kill)(process, signum)
    return True, finish(process)


def result(folder: Path) -> dict[str, Any]:
    """Read what a finished run left, as far as it does not measure the machine."""
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k not in MEASURED} for row in csv.DictReader(file)]
    moments = content["optimizer_states"][0]["state"]
    return {
        "weights": content["state_dict"],
        "moments": {f"{i}.{name}": value for i, state in moments.items() for name, value in state.items()},
        "best": best["state_dict"],
        "step": content["global_step"],
        "rows": rows,
        "metrics": json.loads((folder / "metrics.json").read_text()),
    }


def unlike(one: Any, other: Any) -> list[str]:
    """Name what differs between two results."""
    if isinstance(one, list | tuple) and type(one) is type(other):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if isinstance(one, dict) and isinstance(other, dict):
        names = [str(name) for name in {**one, **other} if name not in one or name not in other]
        return names + [f"{name}/{deep}" for name in one if name in other for deep in unlike(one[name], other[name])]
    same = type(one) is type(other) and (
        one.dtype == other.dtype and torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    )
    return [] if same else ["" if isinstance(one, torch.Tensor) else f"{one} != {other}"]


def disturb(folder: Path, arguments: argparse.Namespace, kind: tuple[str, str], kills: int) -> dict[str, Any]:
    """Kill one kind of run so many times, over as many runs as that takes, and compare each that ends."""
    draw = random.Random(f"{arguments.seed} {kind}")
    report: dict[str, Any] = {"kills": 0, "runs": 0, "by_signal": {}, "wrong": []}
    begun = time.monotonic()
    whole = folder / "whole"
    if (code := finish(start(whole, arguments.demo, *kind, workers=0))) != 0:
        return {**report, "wrong": [f"{kind}: undisturbed run ended with {code}"]}
    long, wanted = time.monotonic() - begun, result(whole)
    while report["kills"] < kills:
        report["runs"] += 1
        run = folder / f"run{report['runs']}"
        code = -1
        while code != 0:
            process = start(run, arguments.demo, *kind, workers=draw.randrange(3))
            if report["kills"] >= kills:
                code = finish(process)
                hit = False
            else:
                signum = draw.choice(SIGNALS)
                hit, code = kill(process, draw.uniform(0, long), signum, draw.random() < 0.5)
            if hit:
                report["kills"] += 1
                report["by_signal"][signum.name] = report["by_signal"].get(signum.name, 0) + 1
            allowed = {0, -signum if signum == signal.SIGKILL else 128 + signum} if hit else {0}
            if code not in allowed:
                report["wrong"].append(f"{kind} {run.name}: exit code {code} after {signum.name if hit else 'nothing'}")
                return report
        report["wrong"] += [f"{kind} {run.name}: {name}" for name in unlike(wanted, result(run))[:5]]
        _, found, trace = run.with_suffix(".log").read_text().partition("Traceback")
        if found:
            report["wrong"].append(f"{kind} {run.name}: a traceback in the log, {trace[:2000]}")
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, required=True, help="a rendered demo")
    parser.add_argument("--folder", type=Path, required=True, help="where the runs go")
    parser.add_argument("--kills", type=int, default=30, help="in all; few of them are spread over few kinds of runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help="which kinds of runs, e.g. 0 2: every second")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kinds = ALL if arguments.kills >= 3 * len(ALL) else FEW
    part, parts = arguments.part
    warm_up(arguments.folder / f"warm{part}", arguments.demo)
    share = -(-arguments.kills // len(kinds))
    reports = {}
    for index, kind in list(enumerate(kinds))[part::parts]:
        reports[" ".join(kind)] = disturb(arguments.folder / str(index), arguments, kind, share)
    print(json.dumps(reports))


if __name__ == "__main__":
    main()
