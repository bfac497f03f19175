"""The aiohttp application: the HTTP routes and the WebSocket over one service."""

from aiohttp import web

from gateway.http.accounts import AccountRoutes
from gateway.http.administration import AdministrationRoutes
from gateway.http.guard import Guard
from gateway.http.market import MarketRoutes
from gateway.http.orders import OrderRoutes
from gateway.http.routes import Routes
from gateway.http.websocket import WebSockets
from gateway.service import Service


def build_app(service: Service) -> web.Application:
    """The application; when it shuts down it answers all who wait and closes its WebSockets."""
    app = web.Application(client_max_size=service.config.gateway.body_bytes_max)
    guard = Guard(service.counts.requests)
    sockets = WebSockets(service)
    app.router.add_route("GET", "/api/v1/ws", guard.around(sockets.connect))
    OrderRoutes(service).add_to(app.router, guard)
    AccountRoutes(service).add_to(app.router, guard)
    MarketRoutes(service).add_to(app.router, guard)
    AdministrationRoutes(service).add_to(app.router, guard)
    Routes(service).add_to(app.router, guard)

    async def shut_down(app: web.Application) -> None:
        service.stop()
        await sockets.close()

    app.on_shutdown.append(shut_down)
    return app
