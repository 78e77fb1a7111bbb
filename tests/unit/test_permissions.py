"""What the users may do, as data: no service reaches into another, nobody may do everything."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import permutations
from pathlib import Path

import pytest

from shared import registry
from shared.cli.permissions import needs_of
from shared.permissions import User, service_user, users
from shared.permissions_text import Auth, configuration, new_passwords, table
from shared.queue_streams import Schedules
from shared.service_grants import ServiceNeeds
from shared.topology import ATTEMPTS, DEAD_LETTERS, LEASES

ROOT = Path(__file__).parents[2]
NEEDS = [needs_of(entry) for entry in registry.services()]
USERS = {user.name: user for user in users(NEEDS)}
SHARED = {ATTEMPTS.name, DEAD_LETTERS.name, LEASES.name}
PAIRS = [pytest.param(a, b, id=f"{a.name}-{b.name}") for a, b in permutations(NEEDS, 2)]


def overlap(one: str, other: str) -> bool:
    """Tell whether a subject can match both patterns."""
    ours, theirs = one.split("."), other.split(".")
    for mine, yours in zip(ours, theirs, strict=False):
        if ">" in {mine, yours}:
            return True
        if mine != yours and "*" not in {mine, yours}:
            return False
    return len(ours) == len(theirs)


def stored_subjects(needs: ServiceNeeds) -> Iterable[str]:
    """Return the subjects of the streams that a service has for itself."""
    for stream in needs.topology.streams:
        config = stream.config()
        if config["name"] not in SHARED:
            yield from config["subjects"]
            if isinstance(stream, Schedules):
                yield stream.due


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_no_service_writes_into_anothers_streams(ours: ServiceNeeds, theirs: ServiceNeeds) -> None:
    may = service_user(ours).publish
    assert [
        (one, other) for one in may for other in stored_subjects(theirs) if overlap(one, other)
    ] == []


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_no_service_writes_what_another_writes_into_a_shared_stream(
    ours: ServiceNeeds, theirs: ServiceNeeds
) -> None:
    shared = ("dead.", "attempts.", "leases.")
    may, others = (
        [subject for subject in service_user(needs).publish if subject.startswith(shared)]
        for needs in (ours, theirs)
    )
    assert may
    assert [(one, other) for one in may for other in others if overlap(one, other)] == []


@pytest.mark.parametrize("needs", NEEDS, ids=lambda needs: needs.name)
def test_a_service_makes_changes_and_removes_no_stream(needs: ServiceNeeds) -> None:
    acts = ("CREATE", "UPDATE", "DELETE", "RESTORE", "SNAPSHOT", "MSG.DELETE")
    own = {stream.config()["name"] for stream in needs.topology.streams} - SHARED
    every = {stream.config()["name"] for other in NEEDS for stream in other.topology.streams}
    for subject in service_user(needs).publish:
        assert not any(overlap(subject, f"$JS.API.STREAM.{act}.>") for act in acts), subject
    purged = {
        name
        for name in every
        for subject in service_user(needs).publish
        if overlap(subject, f"$JS.API.STREAM.PURGE.{name}")
    }
    assert purged - own <= {LEASES.name}


@pytest.mark.parametrize("user", USERS.values(), ids=lambda user: user.name)
def test_wildcards_stand_below_a_name(user: User) -> None:
    for subject in (*user.publish, *user.subscribe):
        assert subject.split(".")[0] not in {">", "*", "$JS", "$KV", "$O", "_INBOX"} or (
            subject.split(".")[1] not in {">", "*"}
        ), subject
    heard = [subject for subject in user.subscribe if subject.startswith("_INBOX")]
    assert heard == [f"_INBOX_{user.name}.>"]


def test_only_the_operator_may_do_all_of_the_api() -> None:
    assert [u.name for u in USERS.values() if "$JS.API.>" in u.publish] == ["operator"]
    assert not any(overlap(one, "invoices.issued.x") for one in USERS["operator"].publish)


def test_publisher_and_dashboard_have_accounts_of_their_own() -> None:
    assert [user.name for user in USERS.values() if user.outside] == ["publisher", "dashboard"]
    assert not any(one.startswith("$JS") for one in USERS["publisher"].publish)


@pytest.mark.parametrize(("name", "auth"), [("users", "password"), ("local", "local")])
def test_the_configuration_in_deploy_is_what_the_topology_gives(name: str, auth: Auth) -> None:
    """Run `headrace permissions --auth <auth> > deploy/nats/<name>.conf` where this fails."""
    kept = (ROOT / "deploy" / "nats" / f"{name}.conf").read_text("utf-8")
    assert kept == configuration(list(USERS.values()), auth)


def test_new_passwords_are_for_every_user_and_never_the_same() -> None:
    first, second = (new_passwords(USERS.values()).splitlines() for _ in range(2))
    assert first[0] == second[0] == "NATS_USERS=users"
    names, values = zip(*(line.split("=") for line in [*first[1:], *second[1:]]), strict=True)
    assert set(names) == {f"NATS_{name.upper()}_PASSWORD" for name in USERS}
    assert len(set(values)) == 2 * len(USERS)
    assert all(re.fullmatch("p[0-9a-f]{48}", value) for value in values)


def test_the_table_of_the_docs_is_what_the_topology_gives() -> None:
    """Paste what `headrace permissions --format table` prints where this fails."""
    assert table(list(USERS.values())) in (ROOT / "docs" / "security.md").read_text("utf-8")
