"""The images' packages are those that the tests run with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("services/requirements.*.lock"))
PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", re.MULTILINE)


def pinned(path: Path) -> dict[str, str]:
    return dict(PINNED.findall(path.read_text("utf-8")))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_an_image_has_the_tested_versions_only(path: Path) -> None:
    tested = pinned(ROOT / "requirements.lock")
    image = pinned(path)
    assert image
    assert {name: tested.get(name) for name in image} == image, "make lock"


def test_each_service_has_a_lock_with_all_that_it_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    services = [path.parent.name for path in ROOT.glob("services/*/__main__.py")]
    for service in services:
        extra = project["optional-dependencies"][service.replace("_", "-")]
        asked = {re.split(r"[<>=\[]", line)[0] for line in (*project["dependencies"], *extra)}
        lock = pinned(ROOT / f"services/requirements.{service}.lock")
        assert asked <= set(lock), f"{service}: make lock"
    everything = pinned(ROOT / "services/requirements.headrace.lock")
    for service in services:
        assert pinned(ROOT / f"services/requirements.{service}.lock").items() <= everything.items()
