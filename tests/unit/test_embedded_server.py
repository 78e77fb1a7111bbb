"""What the server's log tells the supervisor."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.embedded_server import EmbeddedServer, EmbeddedServerError, locked

STAMP = "[17] 2026/11/23 08:00:00.000000"


def server(shown: list[str], port: int = 4222) -> EmbeddedServer:
    return EmbeddedServer(port, Path("store"), shown.append)


async def test_ready_is_known_from_the_log_and_so_is_the_port() -> None:
    shown: list[str] = []
    embedded = server(shown, port=0)
    embedded.on_line(f"{STAMP} [INF] Listening for client connections on 127.0.0.1:40123")
    assert not embedded.ready.is_set()
    embedded.on_line(f"{STAMP} [INF] Server is ready")
    assert embedded.ready.is_set()
    assert embedded.url == "nats://127.0.0.1:40123"
    assert embedded.spec().command[3:5] == ("-p", "40123")
    assert shown == []


async def test_warnings_and_what_is_no_log_line_are_shown() -> None:
    shown: list[str] = []
    embedded = server(shown)
    embedded.on_line(f"{STAMP} [WRN] Slow consumer")
    embedded.on_line("panic: no")
    assert shown == ["Slow consumer", "panic: no"]


async def test_a_taken_port_is_explained() -> None:
    embedded = server([])
    embedded.on_line(f'{STAMP} [FTL] Error: "listen: bind: address already in use"')
    assert embedded.failed.is_set()
    for words in ("4222", "PORT=4223", "NATS_URL=nats://127.0.0.1:4222"):
        assert words in embedded.words


def test_a_folder_is_for_one_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / "s"), pytest.raises(EmbeddedServerError, match="another"):  # noqa: SIM117
        with locked(tmp_path / "s"):
            pass
    with locked(tmp_path / "s"):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedServerError, match="file/s"), locked(tmp_path / "file" / "s"):
        pass
