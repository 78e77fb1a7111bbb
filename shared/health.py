"""HTTP for those who watch: `/healthz`, `/readyz`, `/metrics`, more pages, on one port."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from shared.jetstream import BROKER_ERRORS
from shared.logs import logger

_log = logger("http")


class PortError(Exception):
    """The HTTP port cannot be listened on; names the setting."""


NotReady = Callable[[], list[str]]
"""Returns what is not ready, in words; empty when all is."""

Page = Callable[[], Awaitable[bytes]]
"""Makes a page of metrics, in Prometheus' exposition format."""


@contextlib.asynccontextmanager
async def served(
    port: int,
    registry: CollectorRegistry,
    not_ready: NotReady,
    pages: Mapping[str, Page] | None = None,
) -> AsyncIterator[None]:
    """Serve while the context is open; port 0 serves nothing. Raises `PortError`.

    `pages` are more pages of metrics, by their path.
    """
    if port == 0:
        yield
        return

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        missing = not_ready()
        return web.Response(text="".join(f"{m}\n" for m in missing) or "ready\n",
                            status=503 if missing else 200)  # fmt: skip

    async def metrics(_: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(registry), headers=headers)

    async def page(request: web.Request) -> web.Response:
        try:
            body = await (pages or {})[request.path]()
        except BROKER_ERRORS as error:
            return web.Response(text=f"the broker does not answer: {error!r}\n", status=503)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    for path in pages or {}:
        app.router.add_get(path, page)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, port=port).start()
        except OSError as error:
            raise PortError(f"HTTP_PORT={port}: {error}; choose another, or 0 for none") from error
        _log.info("http serving", port=port)
        yield
    finally:
        await runner.cleanup()
