"""The same questions asked of the embedded stores by their own libraries: one connection to the four files, and the index beside them.

What must stay true: the files are opened for reading only; what could be one statement over several files is one.
"""

import apsw
import tantivy


def micros(instant):
    return int(instant.timestamp()) * 1_000_000 + instant.microsecond


class Embedded:
    """The files, open."""

    def __init__(self, place):
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        self.sqlite = apsw.Connection(str(place.data / "ledger.db"), flags=flags)
        for role in ("documents", "metrics", "baselines"):
            self.sqlite.execute(f"ATTACH 'file:{place.data / role}.db?mode=ro' AS {role}")
        self.index = tantivy.Index.open(str(place.data / "search"))
        self.index.reload()
        # The words of the questions are plain: what the index makes of them, this does too.
        words = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).filter(tantivy.Filter.lowercase()).filter(tantivy.Filter.stemmer("english"))
        self.analyzer = words.build()

    def close(self):
        self.sqlite.close()

    def rows(self, sql, values=()):
        return self.sqlite.execute(sql, values).fetchall()

    def held(self):
        tables = {"transactions": "transactions", "documents": "documents.documents", "baselines": "baselines.users"}
        return {name: self.rows(f"SELECT count(*) FROM {table}")[0][0] for name, table in tables.items()} | {"alerts": self.index.searcher().num_docs}

    def suspects(self, first, last):
        sql = (
            "SELECT a.user_id FROM risk_alerts a JOIN transactions t ON t.transaction_id = a.transaction_id AND t.user_id = a.user_id "
            "WHERE t.timestamp >= ? AND t.timestamp < ? GROUP BY 1 HAVING count(*) >= 3 ORDER BY 1"
        )
        return [row[0] for row in self.rows(sql, (micros(first), micros(last)))]

    def point_lookup(self, one):
        return self.rows("SELECT transaction_id, timestamp, user_id, department, amount, risk_score FROM transactions WHERE transaction_id = ?", (one,))

    def last_of_user(self, user):
        sql = "SELECT transaction_id, timestamp, transaction_type, amount, risk_score FROM transactions WHERE user_id = ? ORDER BY timestamp DESC, transaction_id LIMIT 50"
        return self.rows(sql, (user,))

    def top_of_day(self, first, last):
        sql = "SELECT transaction_id, user_id, amount, risk_score FROM transactions WHERE timestamp >= ? AND timestamp < ? ORDER BY amount DESC, transaction_id LIMIT 20"
        return self.rows(sql, (micros(first), micros(last)))

    def department_totals(self):
        return self.rows("SELECT department, transaction_type, count(*), sum(amount) FROM transactions GROUP BY department, transaction_type")

    def hourly_counts(self, first, last):
        sql = "SELECT timestamp - timestamp % 3600000000 AS hour, count(*), sum(amount) FROM transactions WHERE timestamp >= ? AND timestamp < ? GROUP BY 1 ORDER BY 1"
        return self.rows(sql, (micros(first), micros(last)))

    def percentiles(self, first, last):
        # In whole cents and then in units, so that nothing is rounded before it is divided.
        sql = (
            "SELECT department, percentile_cont(amount / 100.0, 0.5), percentile_cont(amount / 100.0, 0.95) "
            "FROM transactions WHERE timestamp >= ? AND timestamp < ? GROUP BY department ORDER BY department"
        )
        return self.rows(sql, (micros(first), micros(last)))

    def distinct_counts(self, first, last):
        sql = (
            "SELECT department, count(DISTINCT user_id), count(DISTINCT counterparty_account), count(*) FROM transactions "
            "WHERE timestamp >= ? AND timestamp < ? GROUP BY department ORDER BY department"
        )
        return self.rows(sql, (micros(first), micros(last)))

    def filtered_page(self, first, last):
        sql = (
            "SELECT transaction_id, timestamp, amount, description FROM transactions WHERE department IN ('Pharmacy', 'Surgery') AND transaction_type = 'refund' "
            "AND amount BETWEEN 5000 AND 50000 AND substr(description, 1, 6) = 'Refund' AND timestamp >= ? AND timestamp < ? ORDER BY timestamp DESC, transaction_id LIMIT 100"
        )
        return self.rows(sql, (micros(first), micros(last)))

    def shared_payees(self):
        return self.rows(
            "SELECT t.counterparty_account, count(DISTINCT t.user_id) AS users, count(*) AS alerts, sum(t.amount) FROM risk_alerts a JOIN transactions t USING (transaction_id) "
            "WHERE t.counterparty_account IS NOT NULL GROUP BY 1 HAVING users > 1 ORDER BY alerts DESC, 1 LIMIT 20"
        )

    def alert_page(self, severity):
        sql = (
            "SELECT a.alert_id, a.created_at, a.title, a.risk_score, t.amount, t.department FROM risk_alerts a JOIN transactions t USING (transaction_id) "
            "WHERE a.severity = ? ORDER BY a.created_at DESC, a.alert_id LIMIT 50"
        )
        return self.rows(sql, (severity,))

    def alert_documents(self, department, first, last):
        # From the alerts on: they are the fewest.
        sql = (
            "SELECT a.alert_id, a.risk_score, t.user_id, t.amount, d.metadata->>'terminal' FROM risk_alerts a CROSS JOIN transactions t USING (transaction_id) "
            "CROSS JOIN documents.documents d USING (transaction_id) WHERE t.department = ? AND t.timestamp >= ? AND t.timestamp < ? ORDER BY a.risk_score DESC, a.alert_id"
        )
        return self.rows(sql, (department, micros(first), micros(last)))

    def semi_join(self, first, last):
        sql = (
            "SELECT count(*), sum(t.amount) FROM documents.documents d CROSS JOIN transactions t USING (transaction_id) "
            "WHERE d.pos >= ? AND d.pos < ? AND json_extract(d.explanation, '$.risk_score') >= 60"
        )
        return self.rows(sql, (first, last))

    def metadata_filter(self, terminal, first):
        return self.rows("SELECT count(*) FROM documents.documents WHERE pos >= ? AND pos < 1 << 40 AND metadata->>'terminal' = ?", (first, terminal))

    def found(self, words, limit):
        """Relevance and document of each alert that has all the words."""
        schema = self.index.schema
        terms = [self.analyzer.analyze(word)[0] for word in words.split(" AND ")]
        query = tantivy.Query.boolean_query([(tantivy.Occur.Must, tantivy.Query.term_query(schema, "message", term)) for term in terms])
        searcher = self.index.searcher()
        return [(score, searcher.doc(address)) for score, address in searcher.search(query, limit).hits]

    def text_top(self, words):
        # One more at a time until those behind the tenth are less relevant: the index breaks ties otherwise.
        limit = 10
        while True:
            limit *= 4
            found = [(one["alert_id"][0], one["title"][0], one["risk_score"][0], score) for score, one in self.found(words, limit)]
            if len(found) < limit or found[9][3] > found[-1][3]:
                return sorted(found, key=lambda row: (-row[3], row[0]))[:10]

    def text_ledger(self, words):
        alerts = [(one["alert_id"][0], one["severity"][0], one["transaction_id"][0]) for _, one in self.found(words, 10_000)]
        ids = sorted({one[2] for one in alerts})
        sql = f"SELECT transaction_id, user_id, amount FROM transactions WHERE transaction_id IN ({','.join('?' * len(ids))}) AND amount > 100000"
        known = {row[0]: row for row in self.rows(sql, ids)}
        joined = [(alert, severity, *known[one][1:]) for alert, severity, one in alerts if one in known]
        return sorted(joined, key=lambda row: (-row[3], row[0]))[:20]

    def alert_counts(self):
        most = {"most": {"max": {"field": "risk_score"}}}
        by = {"severity": {"terms": {"field": "severity", "size": 1000}, "aggs": {"department": {"terms": {"field": "department", "size": 1000}, "aggs": most}}}}
        found = self.index.searcher().aggregate(tantivy.Query.all_query(), by)["severity"]["buckets"]
        return [(one["key"], two["key"], int(two["doc_count"]), int(two["most"]["value"])) for one in found for two in one["department"]["buckets"]]

    def metrics_day(self, first, last):
        sql = "SELECT department, sum(transactions), sum(alerts), max(score_max), sum(amount_sum) FROM metrics.throughput WHERE time >= ? AND time < ? GROUP BY department"
        return self.rows(sql, (micros(first), micros(last)))

    def metrics_hours(self, department, first, last):
        sql = (
            "SELECT time - time % 3600000000, sum(transactions), sum(alerts) FROM metrics.throughput WHERE department = ? AND time >= ? AND time < ? GROUP BY 1 ORDER BY 1"
        )
        return self.rows(sql, (department, micros(first), micros(last)))

    def baseline(self, user):
        return self.rows("SELECT user_id, transactions, amount_mean, home_department, last_event, alerts FROM baselines.users WHERE user_id = ?", (user,))

    def five_stores(self, last_day, end, user, first, last):
        schema = self.index.schema
        of_user = tantivy.Query.term_query(schema, "user_id", user)
        within = tantivy.Query.range_query(schema, "timestamp", tantivy.FieldType.Integer, micros(first), micros(last), include_upper=False)
        searcher = self.index.searcher()
        query = tantivy.Query.boolean_query([(tantivy.Occur.Must, of_user), (tantivy.Occur.Must, within)])
        alerts = [searcher.doc(address) for _, address in searcher.search(query, 10_000).hits]
        alerts = [(one["transaction_id"][0], one["alert_id"][0]) for one in alerts]
        ids = sorted({one for one, _ in alerts})
        sql = (
            "SELECT t.transaction_id, t.timestamp, t.amount, d.metadata->>'terminal', b.amount_mean, w.transactions FROM transactions t "
            "JOIN documents.documents d USING (transaction_id) CROSS JOIN baselines.users b "
            "JOIN (SELECT department, sum(transactions) AS transactions FROM metrics.throughput WHERE time >= ? AND time < ? "
            "AND department = (SELECT home_department FROM baselines.users WHERE user_id = ?) GROUP BY 1) w ON w.department = b.home_department "
            f"WHERE t.transaction_id IN ({','.join('?' * len(ids))}) AND t.user_id = ? AND b.user_id = t.user_id"
        )
        known = {row[0]: row for row in self.rows(sql, (micros(last_day), micros(end), user, *ids, user))}
        joined = [(*known[one][:3], alert, *known[one][3:]) for one, alert in alerts if one in known]
        return sorted(joined, key=lambda row: (row[1], row[3]))
