"""What must stay true of the merged Compose model. Usage: model.py MERGED.json KEYS VARIANT, KEYS being what credentials/make made."""
import json
import os
import re
import sys
import tomllib
from urllib.parse import urlsplit

model, keys, variant = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3]
services = model["services"]
secure = variant.endswith("secure")
here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
faults = []

# Images that run as somebody else than root by themselves; every other service must name a user.
OWN_USER = re.compile(r"^(apache/kafka|docker\.elastic\.co/|grafana/|prom/|wardhouse:)")


def fault(service, text):
    faults.append(f"{service}: {text}")


def environment(service):
    return {key: "" if value is None else str(value) for key, value in (service.get("environment") or {}).items()}


for name, service in services.items():
    image = service["image"]
    if not re.search(r":v?\d+\.\d+\.?\d*[\w.-]*$", image):
        fault(name, f"the image {image} is not pinned to a version")
    user = service.get("user")
    if name != "credentials" and (user or "").split(":")[0] in ("0", "root"):
        fault(name, "runs as root")
    if not user and not OWN_USER.match(image):
        fault(name, "no user, and the image starts as root")
    if service.get("privileged") or service.get("pid") or service.get("cap_add") and name != "credentials":
        fault(name, "has more rights than it may")
    if service.get("cap_drop") != ["ALL"] or service.get("security_opt") != ["no-new-privileges:true"]:
        fault(name, "keeps capabilities or may gain privileges")
    once = service.get("restart") == "no"
    health = service.get("healthcheck") or {}
    if not once:
        if not health.get("test") and not image.startswith("wardhouse:"):
            fault(name, "has no health check")
        if health.get("disable"):
            fault(name, "runs on, with its health check switched off")
        if not service.get("deploy", {}).get("resources", {}).get("limits", {}).get("memory"):
            fault(name, "has no memory limit")
    for port in service.get("ports") or []:
        if port.get("host_ip") != "127.0.0.1":
            fault(name, f"port {port['published']} is published on {port.get('host_ip', 'every address')}")
    for needed, how in (service.get("depends_on") or {}).items():
        if needed not in services:
            fault(name, f"waits for {needed}, which is not there")
            continue
        other, condition = services[needed], how["condition"]
        # The one that makes its server healthy cannot wait for that.
        if condition == "service_started" and name != "mongodb-setup":
            fault(name, f"does not wait until {needed} is healthy")
        if condition == "service_healthy" and not (other.get("healthcheck") or {}).get("test"):
            fault(name, f"waits for the health of {needed}, which is not looked at")
        if condition == "service_completed_successfully" and other.get("restart") != "no":
            fault(name, f"waits for the end of {needed}, which does not end")
    for key, value in environment(service).items():
        if re.search(r"PASSWORD|TOKEN|SECRET", key) and not key.endswith("_FILE"):
            fault(name, f"{key} stands in the environment")
    secrets = {}
    for volume in service.get("volumes") or []:
        if volume["type"] == "bind" and not os.path.exists(volume["source"]):
            fault(name, f"{volume['source']} is not there")
        if volume["type"] == "bind" and not volume.get("read_only"):
            fault(name, f"may write {volume['source']}")
        if volume["type"] == "volume" and volume["source"].startswith("keys-") and name != "credentials":
            if not volume.get("read_only"):
                fault(name, "may write its secrets")
            secrets[volume["target"]] = volume["source"].removeprefix("keys-")
    if len(secrets) > 1:
        fault(name, f"has the secrets of several: {', '.join(secrets.values())}")
    # Every secret that it names is made for it.
    texts = [*environment(service).values(), json.dumps(service.get("command")), json.dumps((service.get("healthcheck") or {}).get("test"))]
    for config in service.get("configs") or []:
        path = model["configs"][config["source"]]["file"]
        texts.append(open(path).read())
    for volume in service.get("volumes") or []:
        if volume["type"] == "bind" and os.path.isfile(volume["source"]):
            texts.append(open(volume["source"]).read())
    for target, owner in secrets.items():
        short = target.removeprefix("/usr/share/elasticsearch/")
        for text in texts:
            for found in re.findall(rf"(?:{re.escape(target)}|\b{re.escape(short)})/([\w.-]+)", text):
                if os.path.isdir(keys) and os.listdir(keys) and not os.path.isfile(os.path.join(keys, owner, found)):
                    fault(name, f"nobody makes {found} for {owner}")
    if not secrets and any("/run/secrets/" in text for text in texts) and name != "credentials":
        fault(name, "names a secret and mounts none")

# The users of the images are those whom the secrets are given to.
owners = dict(re.findall(r"\[(\w+)\]=(\d+:\d+)", open(os.path.join(here, "credentials/make")).read()))
for name, service in services.items():
    for volume in service.get("volumes") or []:
        owner = volume.get("source", "").removeprefix("keys-")
        if volume["type"] == "volume" and owner in owners and name != "credentials" and service.get("user") not in (None, owners[owner]):
            fault(name, f"runs as {service['user']}, its secrets belong to {owners[owner]}")

# Our own settings name servers that are there, and in the secure variant each has TLS and a password.
settings = tomllib.load(open(model["configs"]["wardhouse"]["file"], "rb"))
aliases = {alias: name for name, service in services.items() for network in (service.get("networks") or {}).values() if network for alias in network.get("aliases") or []}
sections = {"log": "kafka", "ledger": "postgres", "documents": "mongodb", "metrics": "influxdb", "baselines": "redis", "search": "elasticsearch"}
for role, server in sections.items():
    host = urlsplit(settings["stores"][role]).hostname
    if host not in services and host not in aliases:
        fault("wardhouse", f"stores.{role} names the host {host}, which is not there")
    section = settings.get(server, {})
    if secure and not (section.get("tls") and section.get("ca_file") and (section.get("password_file") or section.get("token_file"))):
        fault("wardhouse", f"[{server}] has no TLS or no password in the secure variant")
stages = {name for name, service in services.items() if (service.get("command") or [""])[0] == "run"}
if stages != {"http", "intake", "scorer", "patterns", "ledger", "documents", "metrics", "search"}:
    fault("wardhouse", f"the stages are {sorted(stages)}")
if secure:
    for name in ("kafka", "kafka-2", "kafka-3"):
        if name in services and "PLAINTEXT" in environment(services[name])["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]:
            fault(name, "has a listener without TLS")

print(f"note: {len(services)} services, of them {sum(s.get('restart') == 'no' for s in services.values())} that run once")
for text in faults:
    print(text)
sys.exit(bool(faults))
