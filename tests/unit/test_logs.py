"""What is written to the log never holds a secret that lay about when something failed."""

from __future__ import annotations

from typing import Literal

import pytest
import structlog

from shared import logs
from shared.settings import BrokerSettings, LogSettings

SECRET = "swordfish"  # noqa: S105 - it is the point


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_trace_tells_where_but_not_what_the_variables_held(
    form: Literal["json", "console"], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(LogSettings(format=form))
    try:
        fail(BrokerSettings(user="u", password=SECRET))
    except ValueError:
        logs.logger("test").error("service failed", exc_info=True)
    finally:
        structlog.reset_defaults()
    said = capsys.readouterr().err
    assert "in fail" in said or '"name": "fail"' in said
    assert SECRET not in said


def fail(settings: BrokerSettings) -> None:
    raise ValueError(f"{settings.user} cannot")
