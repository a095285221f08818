"""The built wheel holds the configs and every subpackage."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_wheel_is_complete(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())
    modules = {f"hrda_lit/{path.relative_to(ROOT / 'src/hrda_lit')}" for path in ROOT.glob("src/hrda_lit/**/*.py")}
    configs = {f"hrda_lit/conf/{path.relative_to(ROOT / 'conf')}" for path in ROOT.glob("conf/**/*.yaml")}
    scripts = {f"hrda_lit/scripts/{path.name}" for path in ROOT.glob("scripts/*.py")}
    configs = {name for name in configs if "/local/" not in name}
    assert len(modules) > 40
    assert len(configs) > 25
    assert len(scripts) > 9
    assert modules | configs | scripts | {"hrda_lit/py.typed"} <= names
