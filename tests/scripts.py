"""The commands in scripts/, run as a user runs them."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "scripts"


def run_script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run scripts/<name>.py to its end, whatever its exit code."""
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
