"""A wrong setting ends the service at its start, with exit code 2 and words that name it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.traffic import SELLERS
from tests.processes import Process, invoice_worker

NOWHERE = "nats://127.0.0.1:1"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("INVOICE_CONCURRENCY", "many", "INVOICE_CONCURRENCY='many': "),
        ("INVOICE_CONCURRENCY", "0", "INVOICE_CONCURRENCY='0': Expected `int` >= 1"),
        ("INVOICE_ACK_WAIT_SECONDS", "0.1", "INVOICE_ACK_WAIT_SECONDS='0.1': "),
        ("INVOICE_MAX_ATTEMPTS", "-3", "INVOICE_MAX_ATTEMPTS='-3': "),
        ("INVOICE_GROUP_COMMIT", "1000000", "INVOICE_GROUP_COMMIT='1000000': "),
        ("INVOICE_QUEUE_MAX_MESSAGES", "1.5", "INVOICE_QUEUE_MAX_MESSAGES='1.5': "),
        ("HTTP_PORT", "http", "HTTP_PORT='http': "),
        ("HTTP_PORT", "65536", "HTTP_PORT='65536': "),
        ("LOG_LEVEL", "loud", "LOG_LEVEL='loud': "),
        ("LOG_FORMAT", "xml", "LOG_FORMAT='xml': "),
        ("STREAM_REPLICAS", "6", "STREAM_REPLICAS='6': "),
        ("STREAM_MAX_AGE_DAYS", "-1", "STREAM_MAX_AGE_DAYS='-1': "),
    ],
)
async def test_a_wrong_value_names_its_variable(name: str, value: str, words: str) -> None:
    with invoice_worker(NOWHERE, **{name: value}) as worker:
        assert words in await _refused(worker)


async def test_all_wrong_values_are_named_at_once() -> None:
    wrong = {"INVOICE_MAX_ATTEMPTS": "x", "HTTP_PORT": "y"}
    with invoice_worker(NOWHERE, **wrong) as worker:
        said = await _refused(worker)
    assert "INVOICE_MAX_ATTEMPTS='x'" in said
    assert "HTTP_PORT='y'" in said


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('"AT"', '"Austria"', "profile 'south': country: "),
        ("DE136695976", "DE136695977", "profile 'north': vat_id: "),
        ("DE89370400440532013000", "DE89370400440532013001", "profile 'south': iban: "),
        ('"SOUTH"', '"NORTH"', "profile 'south': prefix: 'NORTH' is that of 'north' too"),
        ("standard_rate = 20", "standard_rate = 0", "profile 'south': standard_rate: "),
        ("standard_rate = 20", "standard_rat = 20", "profile 'south': Profile contains unknown"),
        ("[south]", "[south", "cannot be read"),
    ],
)
async def test_a_wrong_profile_names_file_profile_and_field(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    path = tmp_path / "sellers.toml"
    assert before in SELLERS
    head, _, tail = SELLERS.rpartition(before)
    path.write_text(head + after + tail, "utf-8")
    with invoice_worker(NOWHERE, INVOICE_SELLERS=str(path)) as worker:
        assert f"INVOICE_SELLERS: {path}: {words}" in await _refused(worker)


async def test_a_missing_profiles_file_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "none.toml")
    with invoice_worker(NOWHERE, INVOICE_SELLERS=path) as worker:
        assert path in await _refused(worker)


async def _refused(worker: Process) -> str:
    assert await worker.exit_code(20) == 2
    said = "".join(worker.words)
    assert worker.log == []
    assert "Traceback" not in said
    assert len(worker.words) == 1
    return said
