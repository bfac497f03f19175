"""The one network-facing process: HTTP and WebSocket in front of the rings."""
