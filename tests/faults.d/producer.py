"""A producer that is not ours: Kafka's own, which sends whatever it is given."""

import glob
import os
import shutil
import subprocess
from pathlib import Path


class ForeignProducer:
    def __init__(self, work, url, topic):
        cache = os.environ.get("WARDHOUSE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wardhouse"
        libraries = sorted(glob.glob(f"{cache}/servers/kafka-*/libs"))
        java = shutil.which("java")
        self.child, self.reason = None, "there is no java" if not java else "there is no Kafka of tests/stack, whose console producer sends what is no transaction"
        if not (java and libraries):
            return
        brokers = url.split("://", 1)[1].split("?")[0].split("/")[0]
        command = [java, "-Xmx64m", "-XX:+UseSerialGC", "-cp", f"{libraries[-1]}/*", "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", brokers, "--topic", topic]
        self.child = work.spawn(command, work.folder / "foreign-producer.log", stdin=subprocess.PIPE)

    def is_there(self):
        return self.child is not None

    def send(self, values):
        if self.child and values:
            self.child.stdin.write(b"".join(value + b"\n" for value in values))
            self.child.stdin.flush()

    def close(self):
        """Returns once everything is sent."""
        if self.child:
            self.child.stdin.close()
            self.child.wait()
