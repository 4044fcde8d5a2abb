"""Servers are set here as in tests/stack, where they are run. Usage: stack.py MERGED.json

What is compared is what the scripts write as it stands; lines with a variable (ports, folders) are theirs alone.
"""
import json
import os
import re
import sys

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
read = lambda path: open(os.path.join(root, path)).read()
faults, compared = [], 0

# Settings that are another here on purpose.
APART = {
    "kafka": {"process.roles", "controller.listener.names"},  # said by other listeners, or the same
    "postgres": {"listen_addresses", "unix_socket_directories"},  # a container's address is its own
    "redis": {"bind", "set-proc-title"},
}


def written(script, pattern):
    """Settings in the script's here-documents, without those that hold a variable."""
    text = "\n".join(re.findall(r"<<'?END'?.*?\n(.*?)\nEND\n", read(f"tests/stack.d/{script}.sh"), re.S))
    return {m[1]: m[2].strip().strip("'") for m in re.finditer(pattern, text, re.M) if "$" not in m[0]}


def compare(server, theirs, ours):
    global compared
    for key, value in theirs.items():
        if key in APART[server]:
            continue
        compared += 1
        if ours.get(key) != value:
            faults.append(f"{server}: {key} is {value} in tests/stack, {ours.get(key, 'not set')} here")


if os.path.exists(sys.argv[1]) and os.path.getsize(sys.argv[1]):
    environment = json.load(open(sys.argv[1]))["services"]["kafka"]["environment"]
    ours = {key.removeprefix("KAFKA_").lower().replace("_", "."): str(value) for key, value in environment.items()}
    theirs = {key: value for key, value in written("kafka", r"^([a-z][a-z.]+)=(.*)$").items() if not key.startswith(("ssl.", "sasl.", "listener."))}
    compare("kafka", theirs, ours)
settings = lambda path: {m[1]: m[2].strip().strip("'") for m in re.finditer(r"^(\w+) *= *(.*)$", read(path), re.M)}
compare("postgres", {k: v for k, v in written("postgres", r"^([a-z_]+) = (.*)$").items() if not k.startswith("ssl")}, settings("compose/postgres/postgresql.conf"))
lines = lambda path: {m[1]: m[2] for m in re.finditer(r"^([a-z-]+) (.*)$", read(path), re.M)}
for variant in ("redis.conf", "redis.secure.conf"):
    theirs = {k: v for k, v in written("redis", r"^([a-z-]+) (.*)$").items() if not k.startswith("tls") and k not in ("port", "user")}
    compare("redis", theirs, lines(f"compose/redis/{variant}"))

if compared < 15:
    faults.append(f"only {compared} settings were found in tests/stack.d: are they written in another way now?")
print(f"note: {compared} settings compared")
print("\n".join(faults))
sys.exit(bool(faults))
