"""200,000 samples of 5,000 series, out of order, some late, some broken: what SQL makes of them.

The oracle is DuckDB over the samples as the log holds them. It knows of the service only what
docs/metrics.md says: windows of a minute, ten seconds of grace, a watermark a partition.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
from nats.aio.client import Client

from shared import jetstream
from tests.eventually import eventually
from tests.metrics_rig import messages, metrics_aggregator
from tests.server import Server

SAMPLES = 200_000
HOSTS = 1_000
METRICS = ("cpu", "disk", "latency", "memory", "requests")
SPAN_S = 900
GRACE_MS = 10_000
RULES = """
- id: racks
  interval: 1m
  grace: 10s
  by: [rack]
  outputs: [count_samples, sum_samples, min, max, avg, stddev, last, unique_samples, count_series,
            "quantiles(0.5, 0.99)"]
- id: routes
  interval: 1m
  grace: 10s
  without: [__name__, host, rack]
  outputs: [count_samples, sum_samples, min, max, avg, stddev, last, unique_samples, count_series,
            "quantiles(0.5, 0.99)"]
"""
GROUPS = {"racks": "metric || ' ' || rack", "routes": "' ' || route"}

WINDOWS = """
with marked as (
  select *, time_ms // 60000 * 60000 as start_ms,
    max(time_ms) over (partition by place order by sequence) as watermark_ms
  from samples
),
counted as (select * from marked where start_ms + 60000 + $grace > watermark_ms)
select $group as labels, start_ms, count(*) as count_samples, sum(value) as sum_samples,
  min(value) as min, max(value) as max, avg(value) as avg, stddev_pop(value) as stddev,
  max({'t': time_ms, 'v': value}).v as last, count(distinct value) as unique_samples,
  count(distinct metric || ' ' || host) as count_series,
  list_sort(list(value))[1 + floor(0.5 * (count(*) - 1) + 0.5)::bigint] as q50,
  list_sort(list(value))[1 + floor(0.99 * (count(*) - 1) + 0.5)::bigint] as q99
from counted group by labels, start_ms
"""
LATE = """
select count(*) from (
  select time_ms, max(time_ms) over (partition by place order by sequence) as watermark_ms
  from samples
) where time_ms // 60000 * 60000 + 60000 + $grace <= watermark_ms
"""
EXACT = ("count_samples", "min", "max", "last", "unique_samples", "count_series")
ROUNDED = ("sum_samples", "avg", "stddev")


def bodies(begin_ms: int) -> Iterator[tuple[str, bytes]]:
    """Yield subject and body of every message, most of them in order within the grace."""
    chance = random.Random(11)
    for number in range(SAMPLES):
        host = chance.randrange(HOSTS)
        early_ms = chance.choice((0, 100, 8_000))
        if number % 100 == 1:
            early_ms = chance.randint(20_000, 200_000)
        body = {
            "name": chance.choice(METRICS),
            "value": round(chance.lognormvariate(2, 1), 2),
            "labels": {"host": f"h-{host}", "rack": f"r-{host % 40}", "route": f"/{host % 7}"},
            "time": max(begin_ms, begin_ms + number * SPAN_S * 1000 // SAMPLES - early_ms) / 1000,
        }
        text = json.dumps(body).encode()
        yield f"telemetry.host.{host}", text if number % 997 else text[:-9]


async def publish_all(client: Client, begin_ms: int) -> None:
    """Publish with many under way at once: the log has them in about this order."""
    waiting = bodies(begin_ms)

    async def publish_some() -> None:
        for subject, body in waiting:
            await jetstream.publish(client, subject, body)

    await asyncio.gather(*(publish_some() for _ in range(200)))


async def test_200_000_samples_give_what_sql_makes_of_them(
    own_server: Server, own_client: Client, tmp_path: Path
) -> None:
    begin_ms = int(time.time()) // 60 * 60_000 - 2 * SPAN_S * 1000
    (tmp_path / "rules.yaml").write_text(RULES, "utf-8")
    variables = {
        "METRICS_RULES": str(tmp_path / "rules.yaml"),
        "METRICS_IDLE_SECONDS": "30",
        "METRICS_SNAPSHOT_EVENTS": "20000",
    }
    with metrics_aggregator(own_server.url, **variables) as first:
        await first.started()  # makes the streams
        first.terminate()
        await first.stopped()
    await publish_all(own_client, begin_ms)
    end = {"value": 0, "time": begin_ms / 1000 + 3 * SPAN_S / 2}
    await jetstream.publish(own_client, "telemetry.the.end", json.dumps(end).encode())
    oracle = duckdb.connect()
    broken = await load_samples(own_client, oracle, tmp_path)
    with metrics_aggregator(own_server.url, **variables) as member:
        await member.started()
        wanted = sum(
            scalar(oracle, f"select count(*) from ({windows_by(group)})")
            for group in GROUPS.values()
        )
        await eventually(lambda: complete(own_client, wanted * 11 - 2 * 11), 120)
        late, dead = await load_results(own_client, oracle, tmp_path)
    assert dead == broken == SAMPLES // 997 + 1
    assert late == scalar(oracle, LATE) > 500
    for rule, group in GROUPS.items():
        compare(oracle, rule, windows_by(group))


def compare(oracle: duckdb.DuckDBPyConnection, rule: str, windows: str) -> None:
    """See that results and windows are the same, each output by its own measure."""
    results = f"select * from results where rule = '{rule}' and start_ms < $end"
    end = {"grace": GRACE_MS, "end": scalar(oracle, "select max(time_ms) - 60000 from samples")}
    for output in (*EXACT, *ROUNDED, "q50", "q99"):
        allowed = 0 if output in EXACT else 1e-9 if output in ROUNDED else 0.0101
        off = f"abs(r.value - w.wanted) > {allowed} * abs(w.wanted)"
        sql = f"""
        select count(*), count(*) filter (where r.value is null or w.wanted is null or {off})
        from (select labels, start_ms, {output} as wanted from ({windows}) where start_ms < $end) w
        full outer join (select * from ({results}) where output = '{output}') r
        using (labels, start_ms)
        """
        compared, differing = oracle.execute(sql, end).fetchone() or (0, 0)
        assert compared > 100
        assert differing == 0, (rule, output, differing, compared)


def windows_by(group: str) -> str:
    """Return the query for the windows of groups."""
    return WINDOWS.replace("$group", group)


def scalar(oracle: duckdb.DuckDBPyConnection, sql: str) -> int:
    given = {"grace": GRACE_MS} if "$grace" in sql else None
    (value,) = oracle.execute(sql, given).fetchone() or (0,)
    return int(value)


async def complete(client: Client, least: int) -> bool:
    """Tell whether so many results are there."""
    info = await jetstream.call(client, "STREAM.INFO.METRICS", {"subjects_filter": "metrics.>"})
    return sum(map(int, (info["state"].get("subjects") or {}).values())) >= least


async def load_samples(client: Client, oracle: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Fill the table of samples from the log; return how many messages hold none."""
    rows: list[tuple[object, ...]] = []
    broken = 0
    for msg in await messages(client, "TELEMETRY"):
        if ".control." in msg.subject:
            continue
        try:
            one = json.loads(msg.data)
        except json.JSONDecodeError:
            broken += 1
            continue
        labels = {"host": "", "rack": "", "route": ""} | one.get("labels", {})
        place, sequence = msg.subject.split(".")[1], int(msg.reply.split(".")[5])
        name = one.get("name", "the.end")
        rows.append(
            (place, sequence, name, *labels.values(), one["value"], round(one["time"] * 1000))
        )
    fields = "place sequence metric host rack route value time_ms"
    load(oracle, folder / "samples.json", fields, rows)
    return broken


async def load_results(
    client: Client, oracle: duckdb.DuckDBPyConnection, folder: Path
) -> tuple[int, int]:
    """Fill the table of results; return how many late samples and dead letters there are."""
    rows, late, dead = [], 0, 0
    for msg in await messages(client, "METRICS"):
        late += msg.subject.startswith("late.metrics.")
        dead += msg.subject.startswith("metrics-dead.")
        if not msg.subject.startswith("metrics."):
            continue
        one = json.loads(msg.data)
        labels, metric = one["labels"], one["metric"].partition(":")[0]
        output = {"0.5": "q50", "0.99": "q99"}.get(labels.get("quantile", ""), one["output"])
        group = f"{metric} {labels.get('rack', labels.get('route', ''))}"
        start_ms = int(dt.datetime.fromisoformat(one["start"]).timestamp()) * 1000
        rows.append((one["rule"], output, group, start_ms, one["value"]))
    load(oracle, folder / "results.json", "rule output labels start_ms value", rows)
    return late, dead


def load(
    oracle: duckdb.DuckDBPyConnection, file: Path, fields: str, rows: Sequence[tuple[object, ...]]
) -> None:
    """Make a table named as the file, through it: inserts one by one would take minutes."""
    names = fields.split()
    lines = (json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows)
    file.write_text("".join(lines), "utf-8")
    oracle.execute(f"create table {file.stem} as select * from read_json('{file}')")
