"""What makes a venue survive: journal, snapshots, recovery, and the checks that they are right.

Everything follows from the stream of decisions. The journal keeps that stream on disk; all state
and all events are derived from it again, byte for byte.
"""
