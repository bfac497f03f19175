"""How a durable venue is kept alive: who has died or hangs, what is done about it, and in order."""
