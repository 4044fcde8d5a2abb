"""The same questions asked of the servers by their own clients; of several servers by hand, each in the order that reads least.

What must stay true: what could be asked at once is asked at once, and nothing is read that the answer does not need.
"""

import http.client
import json
import urllib.parse

import psycopg
import pymongo
import redis

# Of one answer at most; no question finds more.
HITS = 10_000


def micros(instant):
    return int(instant.timestamp()) * 1_000_000 + instant.microsecond


def rfc3339(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Servers:
    """Connections to five servers."""

    def __init__(self, place):
        self.name, self.token = place.name, place.token
        # Prepared statements are planned for the values of each run: a plan for all of them is slower here, up to five times.
        self.postgres = psycopg.connect(place.urls["ledger"], autocommit=True, options="-c timezone=UTC -c plan_cache_mode=force_custom_plan")
        self.cursor = self.postgres.cursor(binary=True)
        # The driver as it is: documents as dicts, lists of ids as they are.
        self.mongodb = pymongo.MongoClient(place.server["mongodb"].rsplit("/", 1)[0])
        self.documents = self.mongodb[place.name].documents
        self.redis = redis.Redis.from_url(place.server["redis"].split("?")[0], decode_responses=True)
        self.elasticsearch = http.client.HTTPConnection(urllib.parse.urlsplit(place.elasticsearch).netloc)
        self.influxdb = http.client.HTTPConnection(urllib.parse.urlsplit(place.influxdb).netloc)
        # Which partition has a user is not known to a client: all are asked at once.
        self.partitions = sorted(int(one) for one in self.redis.smembers(f"{place.name}:partitions"))

    def close(self):
        for one in (self.postgres, self.mongodb, self.redis, self.elasticsearch, self.influxdb):
            one.close()

    def rows(self, sql, values=()):
        return self.cursor.execute(sql, values).fetchall()

    def held(self):
        users = sum(self.redis.zcard(f"{self.name}:{{p{partition}}}:index") for partition in self.partitions)
        alerts = self.search({"size": 0, "track_total_hits": True})["hits"]["total"]["value"]
        return {"transactions": self.rows("SELECT count(*) FROM transactions")[0][0], "alerts": alerts, "documents": self.documents.count_documents({}), "baselines": users}

    def suspects(self, first, last):
        sql = (
            "SELECT a.user_id FROM risk_alerts a JOIN transactions t ON t.transaction_id = a.transaction_id AND t.user_id = a.user_id "
            'WHERE t."timestamp" >= %s AND t."timestamp" < %s GROUP BY 1 HAVING count(*) >= 3 ORDER BY 1'
        )
        return [row[0] for row in self.rows(sql, (first, last))]

    def search(self, body):
        path = f"/{self.name}-alerts-*/_search"
        self.elasticsearch.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self.elasticsearch.getresponse()
        found = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(f"Elasticsearch: {found}")
        return found

    def influxql(self, statement):
        """Tags and values of each row."""
        query = urllib.parse.urlencode({"db": self.name, "q": statement, "epoch": "u"})
        self.influxdb.request("GET", f"/query?{query}", headers={"Authorization": f"Token {self.token}"})
        answer = self.influxdb.getresponse()
        result = json.loads(answer.read())["results"][0]
        if answer.status != 200 or "error" in result:
            raise RuntimeError(f"InfluxDB: {result}")
        return [(series.get("tags", {}), row) for series in result.get("series", []) for row in series["values"]]

    def terminals(self, ids):
        found = self.documents.find({"transaction_id": {"$in": ids}}, {"_id": 0, "transaction_id": 1, "metadata.terminal": 1})
        return {one["transaction_id"]: one["metadata"].get("terminal") for one in found}

    # Those of the ledger alone are the questions' own SQL.

    def metadata_filter(self, terminal, first):
        return [(self.documents.count_documents({"metadata.terminal": terminal, "_id": {"$gte": first, "$lt": 1 << 40}}),)]

    def alert_documents(self, department, first, last):
        found = self.rows(
            "SELECT a.alert_id, a.risk_score, t.user_id, t.amount, t.transaction_id FROM risk_alerts a JOIN transactions t USING (transaction_id) "
            'WHERE t.department = %s AND t."timestamp" >= %s AND t."timestamp" < %s ORDER BY a.risk_score DESC, a.alert_id',
            (department, first, last),
        )
        terminals = self.terminals([row[4] for row in found])
        return [(*row[:4], terminals[row[4]]) for row in found]

    def semi_join(self, first, last):
        found = self.documents.find({"_id": {"$gte": first, "$lt": last}, "explanation.risk_score": {"$gte": 60}}, {"_id": 0, "transaction_id": 1})
        ids = [one["transaction_id"] for one in found]
        return self.rows("SELECT count(*), sum(amount) FROM transactions WHERE transaction_id = ANY(%s)", (ids,))

    def text_top(self, words):
        body = {
            "size": 10,
            "track_total_hits": False,
            "query": {"match": {"message": {"query": words.replace(" AND ", " "), "operator": "and"}}},
            "sort": [{"_score": "desc"}, {"alert_id": "asc"}],
            "_source": ["alert_id", "title", "risk_score"],
        }
        hits = [(hit["_source"], hit["_score"]) for hit in self.search(body)["hits"]["hits"]]
        return [(one["alert_id"], one["title"], one["risk_score"], score) for one, score in hits]

    def text_ledger(self, words):
        query = {"match": {"message": {"query": words.replace(" AND ", " "), "operator": "and"}}}
        hits = self.search({"size": HITS, "track_total_hits": False, "query": query, "sort": ["_doc"], "_source": ["alert_id", "severity", "transaction_id"]})["hits"]["hits"]
        alerts = [hit["_source"] for hit in hits]
        found = self.rows(
            "SELECT transaction_id, user_id, amount FROM transactions WHERE transaction_id = ANY(%s) AND amount > 1000", ([one["transaction_id"] for one in alerts],)
        )
        known = {row[0]: row for row in found}
        joined = [(one["alert_id"], one["severity"], *known[one["transaction_id"]][1:]) for one in alerts if one["transaction_id"] in known]
        return sorted(joined, key=lambda row: (-row[3], row[0]))[:20]

    def alert_counts(self):
        by = [{name: {"terms": {"field": name}}} for name in ("severity", "department")]
        groups = {"composite": {"size": 1000, "sources": by}, "aggs": {"most": {"max": {"field": "risk_score"}}}}
        found = self.search({"size": 0, "track_total_hits": False, "aggs": {"groups": groups}})["aggregations"]["groups"]["buckets"]
        return [(one["key"]["severity"], one["key"]["department"], one["doc_count"], int(one["most"]["value"])) for one in found]

    def metrics_day(self, first, last):
        columns = "sum(transactions), sum(alerts), max(score_max), sum(amount_sum)"
        found = self.influxql(f"SELECT {columns} FROM throughput WHERE time >= '{rfc3339(first)}' AND time < '{rfc3339(last)}' GROUP BY department")
        return [(tags["department"], *row[1:]) for tags, row in found]

    def metrics_hours(self, department, first, last):
        where = f"department = '{department}' AND time >= '{rfc3339(first)}' AND time < '{rfc3339(last)}'"
        return [tuple(row) for _, row in self.influxql(f"SELECT sum(transactions), sum(alerts) FROM throughput WHERE {where} GROUP BY time(1h) fill(none)")]

    def baseline(self, user):
        pipeline = self.redis.pipeline(transaction=False)
        for partition in self.partitions:
            pipeline.hmget(f"{self.name}:{{p{partition}}}:user:{user}", "transactions", "amount_mean", "home_department", "last_event", "alerts")
        found = (one for one in pipeline.execute() if one[0] is not None)
        return [(user, int(n), float(mean), home, int(last), int(alerts)) for n, mean, home, last, alerts in found]

    def five_stores(self, last_day, end, user, first, last):
        # The user's alerts are the fewest rows of all.
        conditions = [{"term": {"user_id": user}}, {"range": {"timestamp": {"gte": micros(first), "lt": micros(last)}}}]
        body = {"size": HITS, "track_total_hits": False, "query": {"bool": {"filter": conditions}}, "sort": ["_doc"], "_source": ["alert_id", "transaction_id"]}
        alerts = [hit["_source"] for hit in self.search(body)["hits"]["hits"]]
        if not alerts:
            return []
        ids = [one["transaction_id"] for one in alerts]
        found = self.rows('SELECT transaction_id, "timestamp", amount FROM transactions WHERE transaction_id = ANY(%s) AND user_id = %s', (ids, user))
        known = {row[0]: row for row in found}
        terminals = self.terminals(list(known))
        ((_, _, mean, home, _, _),) = self.baseline(user)
        where = f"department = '{home}' AND time >= '{rfc3339(last_day)}' AND time < '{rfc3339(end)}'"
        totals = self.influxql(f"SELECT sum(transactions) FROM throughput WHERE {where}")
        joined = [(*known[one["transaction_id"]], one["alert_id"], terminals[one["transaction_id"]], mean, row[1]) for one in alerts if one["transaction_id"] in known for _, row in totals]
        return sorted(joined, key=lambda row: (row[1], row[3]))
