"""Logs: structlog, one canonical line per unit of work, JSON or for the console."""

from __future__ import annotations

import logging
import sys
from typing import cast

import structlog

from shared.settings import LogSettings

Logger = structlog.typing.FilteringBoundLogger


def configure(settings: LogSettings, **bound: str) -> None:
    """Set up logging of this process to standard error; `bound` goes into every line."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.StackInfoRenderer(),
    ]
    if settings.format == "json":
        shared += [
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.ExceptionRenderer(
                # Without locals: among them are settings, and so passwords.
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ]
    else:
        bound = {}  # for eyes: whoever reads a console knows whose it is
        shared += [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=True, key="time"),
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                timestamp_key="time",
                pad_event_to=20,
                exception_formatter=structlog.dev.plain_traceback,  # likewise
            ),
        ]
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**bound)
    # nats-py and aiohttp log through the standard library; what matters of it reaches our
    # own callbacks, the rest would be a second format on the same stream.
    logging.basicConfig(level=logging.CRITICAL)


def logger(name: str) -> Logger:
    """Return the logger of a module; `name` is the part of the system that speaks."""
    return cast("Logger", structlog.get_logger(part=name))
