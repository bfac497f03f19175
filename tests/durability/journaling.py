"""A venue whose decisions a test makes, and the journal processes that it starts and ends."""

import os
import signal

from engine.topology import JOURNAL
from tests.durability.deciding import Decider


class Journaling:
    """A shared venue, and every journal process that was started for it."""

    def __init__(self, data_dir, total, **durability):
        self.decider = Decider(data_dir, total, shared=True, **durability)
        self.entry = self.decider.venue.entry(JOURNAL)
        self.mark = self.decider.mark
        self.pids = []

    def start(self, begin=lambda: None):
        """Start a journal process, which calls `begin` first; returns its pid."""
        self.pids.append(self.decider.start_journal(begin))
        return self.pids[-1]

    def join(self, pid):
        """Wait for the end of a process; returns its exit code."""
        self.pids.remove(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def decide_all(self, pid, batch=7):
        """Decide everything until it is durable: None; or until the process ends: its code."""
        total = len(self.decider.records)
        code = self.decider.decide_until(lambda: self.mark.dseq == total, pid, batch)
        if code is not None:
            self.pids.remove(pid)
        return code

    def end(self):
        """Kill what still runs and let go of all memory."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.decider.end()
