"""The HTTP and WebSocket faces: the only modules that know aiohttp, besides the process main."""
