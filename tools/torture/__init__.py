"""`okimi torture`: a durable venue is killed again and again under load, and must lose nothing."""
