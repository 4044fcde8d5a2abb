"""Versions that stand in several files are the same, and what the Dockerfile copies is let through by .dockerignore."""
import os
import re
import sys
import tomllib

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
read = lambda path: open(os.path.join(root, path)).read()
faults = []
env = dict(line.split("=", 1) for line in read("compose/.env").splitlines() if "=" in line and not line.startswith("#"))
package = tomllib.loads(read("Cargo.toml"))["workspace"]
dockerfile = read("Dockerfile")


def same(what, one, other):
    if one != other:
        faults.append(f"{what}: {one} and {other}")


def tag(image):
    return env[image].rsplit(":", 1)[1]


version = package["package"]["version"]
same("Wardhouse, .env and Cargo.toml", tag("WARDHOUSE_IMAGE"), version)
same("Wardhouse, Dockerfile and Cargo.toml", re.search(r"ARG WARDHOUSE_VERSION=(\S+)", dockerfile)[1], version)
rust = re.search(r"ARG RUST_IMAGE=rust:(\d+)\.(\d+)", dockerfile)
if tuple(map(int, rust.groups())) < tuple(map(int, package["package"]["rust-version"].split(".")[:2])):
    faults.append(f"Rust {'.'.join(rust.groups())} in the Dockerfile is older than rust-version in Cargo.toml")
same("Elasticsearch and Kibana", tag("ELASTICSEARCH_IMAGE"), tag("KIBANA_IMAGE"))
for name, key in (("kafka", "KAFKA"), ("influxdb", "INFLUXDB"), ("elasticsearch", "ELASTICSEARCH")):
    found = re.search(rf"^{key}_VERSION=(\S+)", read(f"tests/stack.d/{name}.sh"), re.M)
    same(f"{name}, .env and tests/stack", tag(f"{key}_IMAGE"), found[1])

allowed = [line[1:] for line in read(".dockerignore").splitlines() if line.startswith("!")]
for member in package["members"]:
    if member not in allowed:
        faults.append(f".dockerignore does not let the crate {member} through")
for source in re.findall(r"^COPY (?!--from)(?:--\S+ )*(\S+) \S+$", dockerfile, re.M):
    if source != "." and source not in allowed:
        faults.append(f".dockerignore does not let {source} through")
    if not os.path.exists(os.path.join(root, source)):
        faults.append(f"the Dockerfile copies {source}, which is not there")

print("\n".join(faults))
sys.exit(bool(faults))
