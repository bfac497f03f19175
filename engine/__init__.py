"""The trading engine: messages, stages, and the processes that host them."""
