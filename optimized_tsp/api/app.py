"""The application factory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline

import optimized_tsp
from optimized_tsp.api.errors import add_error_handlers
from optimized_tsp.api.head import HeadAsGet
from optimized_tsp.api.health import health_router
from optimized_tsp.api.hosts import HostCheck
from optimized_tsp.api.metrics import metrics_router
from optimized_tsp.api.observed import Observed
from optimized_tsp.api.openapi import build_openapi
from optimized_tsp.api.query import check_query
from optimized_tsp.api.request_metrics import FeedCollector, RequestMetrics
from optimized_tsp.api.solvers import solvers_router
from optimized_tsp.core.config import Settings
from optimized_tsp.core.database import Database
from optimized_tsp.core.loop_lag import watch_loop
from optimized_tsp.core.tasks import end_tasks
from optimized_tsp.core.tracing import start_tracing
from optimized_tsp.events.bus import Bus
from optimized_tsp.jobs.caller import Authenticator, tenant
from optimized_tsp.jobs.endpoints import build_jobs_routers
from optimized_tsp.jobs.parser import SubmissionParser
from optimized_tsp.jobs.places import Places
from optimized_tsp.jobs.requests import read_body
from optimized_tsp.jobs.services import Services
from optimized_tsp.jobs.submitting import Submitter
from optimized_tsp.jobs.waiting import Waiters
from optimized_tsp.live.endpoints import LiveFeed
from optimized_tsp.live.feed import Feed
from optimized_tsp.webhooks.endpoints import build_webhooks_router
from optimized_tsp.webhooks.service import Webhooks

__all__ = ["create_app"]

_POOL_SIZE = 10
_DESCRIPTION = """
Post a problem, watch it being solved live on the websocket `/live`, find every past job in SQL.
Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem documents.
"""


def create_app(settings: Settings) -> FastAPI:
    """The application; connections are made when it starts and closed when it stops."""
    if settings.database_url is None or settings.redis_url is None:
        raise ValueError(
            "the API needs OPTIMIZED_TSP_DATABASE_URL and OPTIMIZED_TSP_REDIS_URL; "
            "`optimized-tsp up` sets them for the embedded servers"
        )
    database_url = settings.database_url.get_secret_value()
    redis_url = settings.redis_url.get_secret_value()
    tracing = start_tracing(settings.traces_endpoint, service="optimized-tsp-api")
    metrics = RequestMetrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        database = Database(database_url, pool_size=_POOL_SIZE, application_name="tsp api")
        bus = Bus(redis_url)
        parser = SubmissionParser(settings)
        waiters = Waiters(database)
        places = Places(database)
        app.state.services = Services(
            settings,
            database,
            bus,
            Authenticator(settings, database),
            parser,
            waiters,
            places,
            Submitter(
                database,
                places,
                bus,
                most=settings.submit_batch,
                most_bytes=settings.submit_waiting_bytes,
            ),
            tracing,
        )
        app.state.webhooks = Webhooks(settings, database, bus)
        watching = asyncio.create_task(watch_loop(metrics.observe_lag))
        try:
            feed = Feed(database, bus, waiters.wake, tracing, metrics.observe_hand_out)
            async with waiters, feed as app.state.feed:
                feed_collector = FeedCollector(app.state.feed)
                metrics.registry.register(feed_collector)
                yield
                metrics.registry.unregister(feed_collector)
        finally:
            await end_tasks([watching])
            await asyncio.to_thread(tracing.close)
            parser.close()
            await bus.close()
            await places.close()
            await database.close()

    app = FastAPIOffline(
        title="optimized-tsp",
        version=optimized_tsp.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        dependencies=[Depends(check_query)],
    )
    app.openapi = lambda: build_openapi(app)  # type: ignore[method-assign]
    add_error_handlers(app)
    app.state.request_metrics = metrics
    app.include_router(health_router)
    app.include_router(metrics_router)
    app.include_router(solvers_router)
    for router in build_jobs_routers():
        app.include_router(router)
    app.include_router(build_webhooks_router(tenant=Depends(tenant), read_body=read_body))
    app.add_middleware(LiveFeed)
    app.add_middleware(
        HostCheck,
        allowed_hosts=["localhost", "127.0.0.1", "[::1]", settings.host, *settings.allowed_hosts],
    )
    app.add_middleware(Observed, metrics=metrics, tracing=tracing)
    app.add_middleware(HeadAsGet)
    return app
