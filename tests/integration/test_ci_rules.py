"""In CI nothing is skipped: what would be skipped elsewhere fails there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIPPING = """
import pytest

@pytest.mark.skip(reason="not today")
def test_marked(): ...

def test_in_the_middle():
    pytest.skip("no tool")

def test_missing(nats_cli): ...

@pytest.mark.xfail
def test_known(): assert False
"""


def run(folder: Path, *, ci: str) -> str:
    (folder / "test_skipping.py").write_text(SKIPPING, "utf-8")
    (folder / "test_module.py").write_text("import pytest\npytest.importorskip('no_such')", "utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.conftest",
            "-q",
            "--continue-on-collection-errors",
        ],
        cwd=folder,
        env=os.environ | {"HEADRACE_CI": ci, "PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("ci", "ending"), [("", "4 skipped, 1 xfailed"), ("1", "1 failed, 1 xfailed, 3 errors")]
)
def test_a_skip_is_a_failure_in_ci_only(tmp_path: Path, ci: str, ending: str) -> None:
    out = run(tmp_path, ci=ci)
    assert ending in out
    assert ("which CI does not allow" in out) is (ci == "1")
