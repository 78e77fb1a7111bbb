"""Fixtures of all tests: the real server, a connection to it, names of one's own."""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from tests.server import Server

IN_CI = os.environ.get("HEADRACE_CI") == "1"
"""In CI whatever would be skipped fails: a law that was not tried was not proved."""

INSTALL_NATS_CLI = "go install github.com/nats-io/natscli/nats@v0.5.1"

# Audits outside the test modules shall say, too, what differed.
pytest.register_assert_rewrite(
    "tests.acceptance.books", "tests.chaos.fleet", "tests.chaos.judge", "tests.fraud_rig"
)

# A context that somebody has selected for the nats CLI is for their server, not for those of tests.
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp(prefix="headrace-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CONFIG_HOME"], ignore_errors=True)

# What a script starts in the background is born deaf to Ctrl-C, and so are its children; the
# tests that press it would wait for nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real server that tests share; whoever kills or fills a server starts one of their own."""
    with Server(tmp_path_factory.mktemp("nats")) as running:
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    """A connection to the shared server."""
    connection = await nats.connect(server.url)
    yield connection
    await connection.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, for fixed names, full queues and kills."""
    with Server(tmp_path) as running:
        yield running


@pytest.fixture
async def own_client(own_server: Server) -> AsyncIterator[Client]:
    """A connection to the test's own server."""
    connection = await nats.connect(own_server.url)
    yield connection
    await connection.close()


@pytest.fixture
def unique() -> str:
    """A short token for the names of one test."""
    return secrets.token_hex(4)


@pytest.fixture(scope="session")
def nats_cli() -> str:
    """Path of the `nats` CLI."""
    found = shutil.which("nats")
    if found is None:
        pytest.skip(f"the nats CLI is not installed: {INSTALL_NATS_CLI}")
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped module into a failure in CI."""
    report = yield
    if IN_CI and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
