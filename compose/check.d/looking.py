"""Prometheus, Grafana and Kibana name only what is there. Usage: looking.py QUERIES.yml, which gets the dashboard's PromQL as rules."""
import json
import os
import re
import sys

import yaml

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
path = lambda *parts: os.path.join(root, *parts)
read = lambda *parts: open(path(*parts)).read()
faults = []

plain, secure = (yaml.safe_load(read("compose/grafana", name))["datasources"] for name in ("datasources.yaml", "datasources.secure.yaml"))
identity = lambda sources: {(source["uid"], source["type"]) for source in sources}
if identity(plain) != identity(secure):
    faults.append("datasources.yaml and datasources.secure.yaml have not the same sources")
provider = yaml.safe_load(read("compose/grafana/dashboards.yaml"))["providers"][0]["options"]["path"]
services = yaml.safe_load(re.sub(r"!override", "", read("compose/compose.yaml")))["services"]
if not any(provider in volume for volume in services["grafana"]["volumes"]):
    faults.append(f"{provider}, where Grafana looks for dashboards, is not mounted")

# Metrics as the program registers them; counters end in _total.
operations = read("cli/src/operations.rs")
known = set()
for name in re.findall(r'counter\(&mut registry, "(\w+)"', operations):
    known.add(f"wardhouse_{name}_total")
for name in re.findall(r'registry\.register\("(\w+)"', operations):
    known.add(f"wardhouse_{name}")

dashboard = json.loads(read("compose/grafana/dashboards/wardhouse.json"))
rules, ids, cells = [], set(), set()
for panel in dashboard["panels"]:
    title = panel["title"]
    if panel["id"] in ids:
        faults.append(f"{title}: its id is taken")
    ids.add(panel["id"])
    at = panel["gridPos"]
    for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
        if cell in cells or cell[0] >= 24:
            faults.append(f"{title}: lies over another panel, or beyond the edge")
            break
        cells.add(cell)
    for target in panel["targets"]:
        source = target["datasource"]
        if (source["uid"], source["type"]) not in identity(plain):
            faults.append(f"{title}: there is no data source {source}")
        if source["type"] == "prometheus":
            expression = target["expr"].replace("$__rate_interval", "20s").replace("$__range", "30m")
            rules.append({"record": f"panel:{panel['id']}_{target['refId'].lower()}", "expr": expression})
            for metric in re.findall(r"\bwardhouse_\w+", expression):
                if metric not in known:
                    faults.append(f"{title}: the program has no metric {metric}")
json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, open(sys.argv[1], "w"))

# The ledger's columns, the measurement's fields, the search index's fields, where their layouts are there.
sql = " ".join(target.get("rawSql", "") for panel in dashboard["panels"] for target in panel["targets"])
if os.path.exists(path("schemas/postgres/0001_ledger.sql")):
    table = re.search(r"CREATE TABLE risk_alerts \((.*?)\n\)", read("schemas/postgres/0001_ledger.sql"), re.S)[1]
    for column in ("created_at", "severity"):
        if column in sql and not re.search(rf"^\s+{column}\s", table, re.M):
            faults.append(f"risk_alerts has no column {column}")
objects = [json.loads(line) for line in read("compose/kibana/saved-objects.ndjson").splitlines()]
if os.path.exists(path("schemas/elasticsearch/alerts.json")):
    fields = set(json.loads(read("schemas/elasticsearch/alerts.json"))["mappings"]["properties"])
    shown = {field for one in objects for field in one["attributes"].get("columns", [])}
    shown |= {one["attributes"]["timeFieldName"] for one in objects if one["type"] == "index-pattern"}
    shown |= {source["jsonData"]["timeField"] for source in plain if source["type"] == "elasticsearch"}
    table = next(panel for panel in dashboard["panels"] if panel["type"] == "table")
    shown |= set(table["transformations"][0]["options"]["include"]["names"])
    for field in shown - fields:
        faults.append(f"alerts in Elasticsearch have no field {field}")
found = {(one["type"], one["id"]) for one in objects}
for one in objects:
    for reference in one["references"]:
        if (reference["type"], reference["id"]) not in found:
            faults.append(f"{one['id']} refers to {reference['id']}, which is not in the file")
    if one["type"] == "search":
        source = json.loads(one["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
        if source["indexRefName"] not in {reference["name"] for reference in one["references"]}:
            faults.append(f"{one['id']} names no data view")

scraped = yaml.safe_load(read("compose/prometheus/prometheus.yml"))["scrape_configs"][0]["dns_sd_configs"][0]["names"]
stages = [name for name, service in services.items() if (service.get("command") or [""])[0] == "run"]
if sorted(scraped) != sorted(stages):
    faults.append(f"Prometheus looks for {sorted(scraped)}, the stages are {sorted(stages)}")

print("\n".join(faults))
sys.exit(bool(faults))
