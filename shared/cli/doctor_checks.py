"""What is to be said of a running system: from facts to findings. Pure.

A finding says what would be lost when, or what is wrong, and what mends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from shared.log_stream import guard
from shared.log_stream.position import Position
from shared.log_stream.stage import Stage
from shared.provision import Change

Level = Literal["good", "note", "bad"]

LEAST_DUPLICATE_WINDOW_S: Final = 120
NOTABLE_SKEW_S: Final = 1.0
BAD_SKEW_S: Final = 10.0
FULL_SHARE: Final = 0.8
MANY_LETTERS: Final = 1000
_NANOSECONDS: Final = 1_000_000_000


class Finding(Struct, frozen=True):
    """What was found of one thing: `bad` wants somebody to act, `note` somebody to know."""

    level: Level
    about: str
    words: str


class PartitionFacts(Struct, frozen=True):
    """One partition: its record, who is alive in its group, and two looks at its lag.

    `lags` are None where nobody has ever read it.
    """

    stage: Stage
    number: int
    record: Position
    alive: frozenset[str]
    lags: tuple[int | None, int | None]
    positions: tuple[int, int]
    source: Mapping[str, Any]
    """The answer to STREAM.INFO of the log that it reads."""


def replicas(info: Mapping[str, Any]) -> Finding:
    """Say what the loss of servers does to one stream."""
    config, cluster = info["config"], info.get("cluster") or {}
    name, count = config["name"], config["num_replicas"]
    members = [cluster.get("leader"), *(one["name"] for one in cluster.get("replicas") or [])]
    behind = [one["name"] for one in cluster.get("replicas") or [] if not one.get("current")]
    if behind:
        return Finding("bad", name, f"replicas behind or away: {', '.join(sorted(behind))}")
    if count == 1:
        return Finding(
            "note", name, "one replica: lost with its server's disk, and not there while it is down"
        )
    where = ", ".join(sorted(filter(None, members)))
    return Finding(
        "good", name, f"{count} replicas ({where}): the loss of {(count - 1) // 2} costs nothing"
    )


def room(info: Mapping[str, Any]) -> Finding | None:
    """Say when a queue is about to refuse publishers."""
    config, state = info["config"], info["state"]
    shares = [
        (state[used] / config[most], f"{state[used]} of {config[most]} {used}")
        for used, most in (("messages", "max_msgs"), ("bytes", "max_bytes"))
        if config[most] > 0
    ]
    if config["discard"] != "new" or not shares or max(shares)[0] < FULL_SHARE:
        return None
    return Finding(
        "bad", config["name"], f"{max(shares)[1]}: soon it refuses publishers; start more workers"
    )


def duplicate_window(info: Mapping[str, Any]) -> Finding | None:
    """Say when a publisher's repeat would be stored twice."""
    config = info["config"]
    seconds = config["duplicate_window"] / _NANOSECONDS
    if seconds >= LEAST_DUPLICATE_WINDOW_S or 0 < config["max_age"] <= config["duplicate_window"]:
        return None
    return Finding(
        "bad",
        config["name"],
        f"a message that is sent again after {seconds:g} s is stored twice: "
        f"`nats stream edit {config['name']} --dupe-window 2m`",
    )


def drift(changes: Iterable[Change]) -> list[Finding]:
    """Say where the server is not what the services declare."""
    words = {
        "create": "missing: `headrace provision` makes it",
        "update": "other than declared: `headrace provision --dry-run` shows it",
        "refuse": "other than declared, and cannot be changed in place: `headrace provision`",
    }
    return [
        Finding("bad", change.name, words[change.action])
        for change in changes
        if change.action != "none"
    ]


def partition(facts: PartitionFacts) -> Finding | None:
    """Say when a partition stands still, or could not be restored soon."""
    about = f"{facts.stage.group} {facts.number}"
    record = facts.record
    if record.held:
        return Finding("note", about, f"held by the promotion of {record.held}")
    if not record.epoch:
        return Finding("note", about, "has never run")
    if words := _stands_still(facts):
        return Finding("bad", about, words)
    snapshot = record.snapshot or record.base
    place = (snapshot.sequence, snapshot.arrival_ns) if snapshot else (0, 0)
    needed = snapshot is not None or record.first[0] > 0
    if needed and not facts.stage.stateless and guard.is_fading(dict(facts.source), place):
        return Finding(
            "note",
            about,
            f"more than half of the time is over that {facts.stage.source.name} keeps what a "
            "restore needs; an owner takes a snapshot before it is gone",
        )
    return None


def _stands_still(facts: PartitionFacts) -> str:
    record = facts.record
    before, now = facts.lags
    if not facts.alive:
        return f"{now} events wait and no member is alive" if now else ""
    if record.owner not in facts.alive:
        return f"its owner {record.owner} is gone, and nobody has taken it"
    if now and before and now >= before and facts.positions[0] == facts.positions[1]:
        return f"{now} events wait and none is folded: see the log of {record.owner}"
    return ""


def nobody(group: str, alive: frozenset[str]) -> Finding:
    """Say how many members a group has."""
    if not alive:
        return Finding("bad", group, "no member is alive: nothing is folded")
    words = f"{len(alive)} members alive" if len(alive) > 1 else "one member alive"
    return Finding("good", group, words)


def dead_letters(counts: Mapping[str, int]) -> Finding:
    """Say how many letters lie there, by subject."""
    total = sum(counts.values())
    if not total:
        return Finding("good", "DEAD_LETTERS", "none")
    most = sorted(counts.items(), key=lambda one: -one[1])[:3]
    shown = ", ".join(f"{count} {subject.removeprefix('dead.')}" for subject, count in most)
    level: Level = "bad" if total >= MANY_LETTERS else "note"
    return Finding(level, "DEAD_LETTERS", f"{total} ({shown}): `headrace dead list`")


def clock(skew_s: float, uncertain_s: float) -> Finding:
    """Say how far this machine's clock is from the server's."""
    far = max(0.0, abs(skew_s) - uncertain_s)
    words = f"this machine's clock and the server's differ by {skew_s:+.3f} s"
    if far > BAD_SKEW_S:
        return Finding("bad", "clock", f"{words}: times that publishers leave out are wrong")
    return Finding("note" if far > NOTABLE_SKEW_S else "good", "clock", words)


def synchronisation(config: Mapping[str, Any] | None) -> Finding:
    """Say what a power loss costs; `config` is that of JetStream, from the monitoring port."""
    if config is None:
        return Finding(
            "note",
            "sync",
            "unknown how often the server writes to the disk: name its monitoring port (--monitor)",
        )
    if config.get("sync_always"):
        return Finding("good", "sync", "every write reaches the disk before it is acknowledged")
    seconds = int(config.get("sync_interval", 120 * _NANOSECONDS)) / _NANOSECONDS
    return Finding(
        "note",
        "sync",
        f"written to the disk every {seconds:g} s: a power loss, not a killed process, may take "
        "what came since, unless other replicas have it",
    )
