"""The command line: run, watch, replay and measure a venue."""
