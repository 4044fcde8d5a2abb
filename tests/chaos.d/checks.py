"""What was checked, told as it comes, and counted."""

import time


class Checks:
    """Counts of what held and what did not."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def say(self, text):
        """A line of progress."""
        print(time.strftime("%H:%M:%S"), "", text, flush=True)

    def check(self, what, good, reason=""):
        """Counts one check; gives whether it held."""
        if good:
            self.passed += 1
            self.say(f"ok: {what}")
        else:
            self.failed += 1
            self.say(f"FAILED: {what}{': ' if reason else ''}{reason}")
        return bool(good)

    def skip(self, what, reason):
        """Counts what this machine cannot show."""
        self.skipped += 1
        self.say(f"skipped: {what}: {reason}")

    def end(self):
        """The last line; the exit code."""
        print(f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else ""))
        return 1 if self.failed else 0
