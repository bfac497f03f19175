"""Order entry: from what a client wants to commands, and from their last events to replies."""

from gateway.entry.administration import Administration
from gateway.entry.governing import Governing
from gateway.entry.names import Target
from gateway.entry.orders import OrderEntry
from gateway.entry.pending import Answer, Reply
from gateway.entry.sessions import Session

__all__ = ["Administration", "Answer", "Governing", "OrderEntry", "Reply", "Session", "Target"]
