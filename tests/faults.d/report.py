"""What a drill tells, what it counts, and where it works.

What must stay true: every process that is started here has ended when the drill has.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path


class Report:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)

    def check(self, what, good):
        if good:
            self.passed += 1
            self.say(f"ok: {what}")
        else:
            self.failed += 1
            self.say(f"FAILED: {what}")
        return good

    def skip(self, what, why):
        self.skipped += 1
        self.say(f"skipped: {what}: {why}")

    def end(self):
        left = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{left}", flush=True)
        return 1 if self.failed else 0


class Workplace:
    """A folder that is removed, processes that are ended, and whatever else is to be undone."""

    def __init__(self, keep):
        self.keep = keep
        self.children = []
        self.undo = []

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="wardhouse-faults-"))
        # No settings file of whoever starts the drill.
        os.chdir(self.folder)
        # A drill that is asked to end undoes what it did.
        signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        return self

    def spawn(self, command, log, environment=None, stdin=subprocess.DEVNULL):
        with open(log, "ab") as out:
            child = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=out, env=environment)
        self.children = [one for one in self.children if one.poll() is None] + [child]
        return child

    def __exit__(self, *_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()
        for undo in reversed(self.undo):
            try:
                undo()
            except Exception as error:  # the rest is undone all the same
                print(f"not undone: {error}", flush=True)
        if self.keep:
            print(f"kept: {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def until(what, seconds, every=0.2):
    """Waits until something is true; whether it came true in time."""
    end = time.monotonic() + seconds
    while True:
        if what():
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(every)


def last_line(log):
    """The last line that a process said, for a person."""
    try:
        lines = [line for line in Path(log).read_text(errors="replace").splitlines() if line.strip()]
    except FileNotFoundError:
        return ""
    return lines[-1].strip()[:240] if lines else ""
