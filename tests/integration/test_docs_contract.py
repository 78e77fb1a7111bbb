"""`docs/` says what is: its examples are run, its tables compared with the code."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from msgspec import Struct
from nats.aio.client import Client

from services.fraud_detector.domain.detectors import Board
from services.fraud_detector.domain.findings import Finding
from services.fraud_detector.domain.reading import read_label, read_payment
from services.fraud_detector.domain.rules import parse_rule
from services.fraud_detector.outputs import alert as alerted
from services.fraud_detector.rule_metrics import RuleCollector
from services.fraud_detector.settings import FraudSettings
from services.fraud_detector.settings import PartitionSettings as CardPartitions
from services.fraud_detector.topology import topology as fraud_topology
from services.invoice_worker.domain import Sellers
from services.invoice_worker.exposition import InvoiceCollector
from services.invoice_worker.issuing import Issuer
from services.invoice_worker.ledger import Ledger
from services.invoice_worker.settings import InvoiceSettings, QueueSettings
from services.invoice_worker.topology import topology
from services.metrics_aggregator.settings import MetricsSettings, PartitionSettings
from services.metrics_aggregator.topology import topology as metrics_topology
from shared import jetstream
from shared.cli.topologies import united
from shared.cli.up import UpSettings
from shared.contracts import headers
from shared.contracts.invoices import InvoiceIssued, InvoiceJob, InvoiceRendered
from shared.contracts.payments import FraudAlert, FraudScore
from shared.log_metrics import MemberCollector
from shared.log_stream.fold import Event
from shared.metrics import WorkerCollector
from shared.provision import provision
from shared.settings import StreamSettings
from shared.work_queue.outcome import Reason
from shared.work_queue.stats import QueueStats
from tests.headrace import environment
from tests.server import Server
from tests.unit.invoice_worker.samples import changed, issued, refusal

DOCS = Path(__file__).parents[2] / "docs"
CONTRACT = (DOCS / "contract.md").read_text("utf-8")
OPERATIONS = (DOCS / "operations.md").read_text("utf-8")
PAGES = sorted([DOCS.parent / "README.md", DOCS.parent / "CHANGELOG.md", *DOCS.rglob("*.md")])

_BLOCK = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(text: str, kind: str) -> list[str]:
    """Return the fenced blocks of a kind, such as `json invoice-job`."""
    return [match["text"] for match in _BLOCK.finditer(text) if match["kind"] == kind]


def rows(text: str, head: str) -> list[list[str]]:
    """Return the cells of the table whose head row begins so."""
    _, _, rest = text.partition(f"\n| {head} |")
    assert rest, f"no table {head}"
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [re.split(r"\s*\|\s*", line.strip())[1:-1] for line in lines]


def code(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def settings_of(cls: type[Struct]) -> Iterator[tuple[str, Any]]:
    """Yield variable and default of a settings struct and those in it."""
    hints = get_type_hints(cls)
    for info in msgspec.structs.fields(cls):
        hint = hints[info.name]
        if isinstance(hint, type) and issubclass(hint, Struct):
            yield from settings_of(hint)
        else:
            yield info.encode_name, info.default


def field_paths(cls: type[Struct]) -> Iterator[str]:
    """Yield the path of each field of a struct, as `lines[].quantity`."""
    for name, hint in get_type_hints(cls).items():
        inner = [one for one in _types_in(hint) if issubclass(one, Struct)]
        many = tuple in _types_in(hint)
        if many or not inner:
            yield name
        for struct in inner:
            yield from (f"{name}{'[]' if many else ''}.{path}" for path in field_paths(struct))


def _types_in(hint: Any) -> list[type]:
    origin = getattr(hint, "__origin__", None)
    own = [one for one in (hint, origin) if isinstance(one, type)]
    return own + [one for argument in get_args(hint) for one in _types_in(argument)]


KINDS = ("payment", "label", "rule", "alert", "score")
ARRIVAL_NS = 1_795_420_800_000_000_000
JOBS = [json.loads(text) for text in blocks(CONTRACT, "json invoice-job")]
REFUSALS = rows(CONTRACT, "change")


def test_every_json_and_toml_example_is_of_a_kind_that_is_run() -> None:
    kinds = {match["kind"] for match in _BLOCK.finditer(CONTRACT)}
    assert kinds == {
        "json invoice-job",
        "json invoice-issued",
        "json invoice-rendered",
        "json payment",
        "json label",
        "json rule",
        "json alert",
        "json score",
        "toml sellers",
        "console nats",
    }


def test_payment_and_label_are_accepted_and_the_alert_is_that_of_the_rule() -> None:
    shown = {kind: "".join(blocks(CONTRACT, f"json {kind}")).encode() for kind in KINDS}
    rule = parse_rule(shown["rule"], "velocity-1h", 1)
    board = Board([rule])
    found: list[Finding] = []
    alert = msgspec.json.decode(shown["alert"], type=FraudAlert)
    for number, sequence in enumerate(alert.evidence):
        body = {**json.loads(shown["payment"]), "channel": "ecom"}
        body["time"] = f"2026-11-23T07:{56 + number}:00Z" if number < 4 else body["time"]
        read = read_payment(json.dumps(body).encode(), "card-17", None, sequence, ARRIVAL_NS)
        found += board.evaluate(read)
    event = Event(alert.evidence[-1], ARRIVAL_NS, "event.made.card-17", b"", None)
    (made,) = [alerted(event, read, finding) for finding in found]
    assert json.loads(made.data) == json.loads(shown["alert"])
    label = read_label(shown["label"], "card-17", 1, ARRIVAL_NS + 7 * 86_400 * 10**9)
    assert (label.payment_id, label.fraud) == ("p-1", True)
    score = msgspec.json.decode(shown["score"], type=FraudScore)
    assert json.loads(msgspec.json.encode(score)) == json.loads(shown["score"])


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["order_id"])
def test_the_jobs_are_accepted(job: dict[str, Any]) -> None:
    assert refusal(job) == ""


def test_the_first_job_gives_the_invoice_that_is_shown() -> None:
    (shown,) = blocks(CONTRACT, "json invoice-issued")
    assert msgspec.json.decode(shown, type=InvoiceIssued) == issued(JOBS[0])
    assert json.loads(shown) == json.loads(msgspec.json.encode(issued(JOBS[0])))


def test_the_rendered_event_is_one() -> None:
    (shown,) = blocks(CONTRACT, "json invoice-rendered")
    event = msgspec.json.decode(shown, type=InvoiceRendered)
    assert json.loads(msgspec.json.encode(event)) == json.loads(shown)


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row[0])
def test_the_refusals_are_those_that_are_named(row: list[str]) -> None:
    change, reason, error = ("".join(code(cell)) for cell in row)
    job = dict(JOBS[1])
    for field, value in json.loads(change).items():
        job = {k: v for k, v in (job | {field: value}).items() if v is not None}
    assert refusal(job) == f"{reason} {error}"
    assert refusal(changed(JOBS[1], "note", "fine")) == ""


def test_the_fields_are_all_there() -> None:
    named = [code(row[0])[0] for row in rows(CONTRACT, "field")]
    assert sorted(named) == sorted(field_paths(InvoiceJob))


def test_the_seller_profile_is_accepted(tmp_path: Path) -> None:
    (profile,) = blocks(CONTRACT, "toml sellers")
    file = tmp_path / "sellers.toml"
    file.write_text(profile, "utf-8")
    assert Sellers.load(file).names() == ["acme", "demo"]


def test_the_streams_and_durables_are_those_of_the_topology() -> None:
    built = topology(QueueSettings())
    configs = [
        stream.config()
        for stream in united(
            [built, metrics_topology(PartitionSettings()), fraud_topology(CardPartitions())]
        ).streams
    ]
    assert {code(row[0])[0]: code(row[2]) for row in rows(CONTRACT, "stream")} == {
        config["name"]: config["subjects"] for config in configs
    }
    assert [code("".join(row[:3])) for row in rows(CONTRACT, "durable")] == [
        [durable.name, durable.stream, durable.filter_subject] for durable in built.durables
    ]


def test_the_headers_and_reasons_are_those_of_the_code() -> None:
    ours = {
        value
        for name, value in vars(headers).items()
        if name.isupper() and isinstance(value, str) and value.startswith("Headrace-")
    }
    named = {code(row[0])[0] for row in rows(CONTRACT, "header")}
    assert named == ours | {headers.MESSAGE_ID, headers.TRACE_PARENT}
    assert [code(row[0])[0] for row in rows(CONTRACT, "reason")] == list(get_args(Reason))


def test_the_variables_and_their_defaults_are_those_of_the_settings() -> None:
    documented = {code(row[0])[0]: row[1] for row in rows(CONTRACT, "variable")}
    read = {
        variable: default
        for settings in (UpSettings, InvoiceSettings, MetricsSettings, FraudSettings)
        for variable, default in settings_of(settings)
    }
    assert sorted(documented) == sorted(read)
    for variable, default in read.items():
        if variable == "INVOICE_RENDER_PROCESSES":
            assert default == max(1, (os.cpu_count() or 2) - 1)
        else:
            assert documented[variable] == (f"`{default}`" if default not in {None, ""} else "")


def test_the_metrics_are_those_that_are_exposed() -> None:
    class Counted:
        stats = QueueStats("S", "d")
        held = 0
        ready = True

    ledger = Ledger(Client(), 1)
    invoices = InvoiceCollector(ledger, Issuer(Sellers.load(None), ledger))
    families = [
        *WorkerCollector([Counted()]).collect(),
        *invoices.collect(),
        *MemberCollector(list).collect(),
        *RuleCollector([]).collect(),
    ]
    exposed = {f.name + ("_total" if f.type == "counter" else "") for f in families}
    assert {code(row[0])[0] for row in rows(OPERATIONS, "metric")} == exposed


def test_the_log_events_are_those_that_are_written() -> None:
    root = DOCS.parent
    sources = [*root.glob("shared/**/*.py"), *root.glob("services/**/*.py")]
    written = {
        event
        for source in sources
        for event in re.findall(r"(?:_log\.\w+|write)\(\s*\"([^\"]+)\"", source.read_text("utf-8"))
    }
    documented = {code(row[0])[0] for row in rows(OPERATIONS, "event")}
    assert documented == written | {
        "stream created",
        "stream updated",
        "durable created",
        "durable updated",
    }


async def test_the_commands_of_schedules_do_what_is_said(
    own_server: Server, own_client: Client, nats_cli: str, tmp_path: Path
) -> None:
    await provision(own_client, topology(QueueSettings()), StreamSettings())
    (commands,) = blocks(CONTRACT, "console nats")
    shell = await asyncio.create_subprocess_exec(
        "sh",
        "-euc",
        commands,
        env=environment(
            NATS_URL=own_server.url,
            JOB=json.dumps(JOBS[1]),
            HOME=str(tmp_path),
            PATH=f"{Path(nats_cli).parent}:{os.environ['PATH']}",
        ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await shell.communicate()
    assert shell.returncode == 0, said.decode()
    assert b"so-7" in said
    kept = await jetstream.last_message(own_client, "INVOICE_SCHEDULES", "schedules.invoice.so-7")
    assert kept is not None
    assert kept.headers["Nats-Schedule-Target"] == "scheduled.invoice.demo"
    gone = await jetstream.last_message(own_client, "INVOICE_SCHEDULES", "schedules.invoice.so-8")
    assert gone is None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads}


def test_the_guide_shows_the_example_as_it_is() -> None:
    example = (DOCS / "examples" / "email_sender.py").read_text("utf-8")
    shown = "".join(blocks((DOCS / "new_service.md").read_text("utf-8"), "python"))
    assert _without_blanks(shown) == _without_blanks(example)


def _without_blanks(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]
