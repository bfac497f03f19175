"""What `okimi bench` measures. Peers run in the same run, and each result says what it is not."""
