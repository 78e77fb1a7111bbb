"""What an image holds, how big it is, and as whom and how it runs."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
from pathlib import Path

import pytest

from tests.containers.stack import EVERY_IMAGE, ROOT, SERVICES, Stack, image, inspected, run
from tests.eventually import eventually

MOST_BYTES = 250_000_000
BASE = os.environ.get("PYTHON_IMAGE", "python:3.13-slim")
LOOK = """
import importlib.metadata, importlib.util, json, pkgutil
import services
from shared import registry
print(json.dumps({
    "services": [found.name for found in pkgutil.iter_modules(services.__path__)],
    "known": [entry.name for entry in registry.services()],
    "typst": importlib.util.find_spec("typst") is not None,
    "pip": importlib.util.find_spec("pip") is not None,
}))
"""
INSTALLED = """
import importlib.metadata, json
every = importlib.metadata.distributions()
print(json.dumps([(one.metadata["Name"], one.version) for one in every]))
"""
PINNED = re.compile(r"^([\w.-]+)==(\S+) (?:; (\S.*) )?\\$", re.MULTILINE)


@pytest.fixture(scope="module")
def bills() -> Path:
    """Where the bills of materials of all images are."""
    run("make", "sbom")
    return ROOT / "sbom"


@pytest.mark.parametrize("name", EVERY_IMAGE)
def test_an_image_adds_less_than_250_mb_to_its_base(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    added = inspected(image(name))["Size"] - inspected(BASE)["Size"]
    with capsys.disabled():
        print(f"\n{name}: {added / 1e6:.0f} MB beyond the base")  # noqa: T201 - a figure to report
    assert added < MOST_BYTES


@pytest.mark.parametrize("name", EVERY_IMAGE)
def test_an_image_holds_its_own_code_and_what_that_needs(name: str) -> None:
    confined = ("--rm", "--network", "none", "--read-only", "--cap-drop", "ALL")
    found = json.loads(run("docker", "run", *confined, image(name), "python3", "-c", LOOK))
    own = SERVICES if name == "headrace" else [name]
    typst = "invoice_worker" in own
    assert found == {"services": own, "known": own, "typst": typst, "pip": False}


@pytest.mark.parametrize("name", EVERY_IMAGE)
def test_the_bill_of_materials_names_what_an_image_adds(bills: Path, name: str) -> None:
    bill = json.loads((bills / f"{name}.json").read_text("utf-8"))
    told = {(canonical(one["name"]), one["version"]) for one in bill["components"]}
    lock = (ROOT / "services" / f"requirements.{name}.lock").read_text("utf-8")
    elsewhere = {
        (canonical(one), version) for one, version, marker in PINNED.findall(lock) if marker
    }
    found = json.loads(run("docker", "run", "--rm", image(name), "python3", "-c", INSTALLED))
    added = {(canonical(one), version) for one, version in found if one != "headrace"}
    assert added <= told
    assert told - added <= elsewhere  # what only other systems need


def canonical(name: str) -> str:
    """Return the name of a package as all its spellings have it (PEP 503)."""
    return re.sub("[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", EVERY_IMAGE)
def test_an_image_runs_as_somebody_without_rights(name: str) -> None:
    user = inspected(image(name))["Config"]["User"]
    assert user == "10001:10001"  # a number: Kubernetes' runAsNonRoot reads no names


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_is_process_1_and_becomes_healthy(
    stack: Stack, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await stack.healthy(name)
    (container,) = stack.containers(name)
    command = run("docker", "exec", container, "cat", "/proc/1/cmdline")
    assert command.split("\0") == ["python3", "-m", "shared.process_one", f"services.{name}", ""]
    with capsys.disabled():
        print(f"\n{name}: {_start_seconds(container):.1f} s to start")  # noqa: T201 - likewise


@pytest.mark.parametrize("name", SERVICES)
async def test_a_stop_is_soft(stack: Stack, name: str) -> None:
    (container,) = stack.containers(name)
    await stack.to("stop", name)
    assert inspected(container)["State"]["ExitCode"] == 0
    assert _events(container)[-1] == "service stopped"


@pytest.mark.parametrize("name", SERVICES)
async def test_a_stop_while_the_service_is_loading_is_no_kill(stack: Stack, name: str) -> None:
    container = (await stack.to("ps", "-a", "-q", name)).split()[0]
    run("docker", "start", container)
    await eventually(lambda: _hears_sigterm(container))
    run("docker", "stop", container)
    assert inspected(container)["State"]["ExitCode"] == 0


def _hears_sigterm(container: str) -> bool:
    """Whether process 1 has a handler; the kernel ignores the signal until then."""
    status = run("docker", "exec", container, "cat", "/proc/1/status")
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def _start_seconds(container: str) -> float:
    """Return what passed from the container's start until its service took work."""
    begun = _time(inspected(container)["State"]["StartedAt"])
    started = next(one for one in _log(container) if one["event"] == "service started")
    return (_time(started["time"]) - begun).total_seconds()


def _events(container: str) -> list[str]:
    return [one["event"] for one in _log(container)]


def _log(container: str) -> list[dict[str, str]]:
    lines = run("docker", "logs", container, stderr=True).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def _time(text: str) -> dt.datetime:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return dt.datetime.fromisoformat(f"{whole}.{fraction[:6] or '0'}+00:00")
