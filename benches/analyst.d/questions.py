"""The twenty questions of an analyst, as SQL over everything.

What must stay true: the SQL is what an analyst would write, and none is turned so that one side has it easier; each has a native answer of
the same name in servers.py and in embedded.py; an order that is asked for leaves no two rows alike. What differs from run to run is a value
that is bound.
"""

import dataclasses
import random
from datetime import datetime, timedelta, timezone

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
# Times at which the made-up hospital's first month ends: it has sixty days.
MONTH = (BEGIN, datetime(2026, 2, 1, tzinfo=timezone.utc))
# How many different values each question is asked with.
VARIANTS = 7
# Documents that a filter without an index looks at, and those that a semi-join begins with.
FILTERED, JOINED = 200_000, 20_000


@dataclasses.dataclass
class Question:
    name: str
    what: str
    # What each column of the answer is: t text, i integer, f float, m money, w time.
    kinds: str
    sql: str
    # From the samples and a number to the values of one run.
    values: callable
    # Whether the answer has an order.
    ordered: bool = True
    # Milliseconds that the issue of the day allows it by itself.
    most: float = None


def day(number):
    return BEGIN + timedelta(days=number)


def days(first, length):
    """A span of whole days, another one for each number."""
    return lambda samples, number: (day(first + number), day(first + number + length))


class Samples:
    """Values that there are, the same in every run over the same data."""

    def __init__(self, native):
        dice = random.Random(7)
        self.ids = [row[0] for row in native.rows("SELECT transaction_id FROM transactions ORDER BY content_hash LIMIT 100")]
        self.users = [row[0] for row in native.rows("SELECT user_id FROM user_profiles ORDER BY user_id")]
        self.terminals = [row[0] for row in native.rows("SELECT metadata->>'terminal' FROM transactions WHERE \"partition\" = 0 ORDER BY content_hash LIMIT 100") if row[0]]
        # Those of whom the month of the last question has alerts.
        self.suspects = native.suspects(*MONTH) or list(self.users)
        self.departments = [row[0] for row in native.rows("SELECT DISTINCT department FROM transactions ORDER BY 1")]
        # Of the first partition, the seq after the last.
        self.next_seq = native.rows('SELECT max(seq) + 1 FROM transactions WHERE "partition" = 0')[0][0]
        for values in (self.users, self.suspects):
            dice.shuffle(values)

    def one(self, name, number):
        values = getattr(self, name)
        return values[number % len(values)]


# Words of the alerts' sentences; every pair stands in some.
WORDS = ["payment AND limit", "refund AND party", "adjustment AND pattern", "transfer AND account", "payment AND below", "refund AND confirmed", "procurement AND party"]

QUESTIONS = [
    Question(
        "point_lookup",
        "one transaction by its id",
        "twttmi",
        'SELECT transaction_id, "timestamp", user_id, department, amount, risk_score FROM transactions WHERE transaction_id = %s',
        lambda samples, number: (samples.one("ids", number),),
    ),
    Question(
        "last_of_user",
        "the last 50 transactions of a user",
        "twtmi",
        'SELECT transaction_id, "timestamp", transaction_type, amount, risk_score FROM transactions WHERE user_id = %s ORDER BY "timestamp" DESC, transaction_id LIMIT 50',
        lambda samples, number: (samples.one("users", number),),
    ),
    Question(
        "top_of_day",
        "the 20 largest amounts of a day",
        "ttmi",
        'SELECT transaction_id, user_id, amount, risk_score FROM transactions WHERE "timestamp" >= %s AND "timestamp" < %s ORDER BY amount DESC, transaction_id LIMIT 20',
        days(20, 1),
    ),
    Question(
        "department_totals",
        "count and sum by department and type, over everything",
        "ttim",
        "SELECT department, transaction_type, count(*), sum(amount) FROM transactions GROUP BY department, transaction_type",
        lambda samples, number: (),
        ordered=False,
    ),
    Question(
        "hourly_counts",
        "count and sum by hour of a week",
        "wim",
        'SELECT date_trunc(\'hour\', "timestamp") AS hour, count(*), sum(amount) FROM transactions WHERE "timestamp" >= %s AND "timestamp" < %s GROUP BY 1 ORDER BY 1',
        days(7, 7),
    ),
    Question(
        "percentiles",
        "median and 95th percentile of amounts by department, of a day",
        "tff",
        "SELECT department, percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(amount AS double precision)) AS median, "
        "percentile_cont(0.95) WITHIN GROUP (ORDER BY CAST(amount AS double precision)) AS high "
        'FROM transactions WHERE "timestamp" >= %s AND "timestamp" < %s GROUP BY department ORDER BY department',
        days(12, 1),
    ),
    Question(
        "distinct_counts",
        "different users and counterparties by department, of a week",
        "tiii",
        "SELECT department, count(DISTINCT user_id), count(DISTINCT counterparty_account), count(*) FROM transactions "
        'WHERE "timestamp" >= %s AND "timestamp" < %s GROUP BY department ORDER BY department',
        days(3, 7),
    ),
    Question(
        "filtered_page",
        "100 rows under five conditions, the newest first",
        "twmt",
        'SELECT transaction_id, "timestamp", amount, description FROM transactions WHERE department IN (\'Pharmacy\', \'Surgery\') AND transaction_type = \'refund\' '
        'AND amount BETWEEN 50.00 AND 500.00 AND description LIKE \'Refund%%\' AND "timestamp" >= %s AND "timestamp" < %s ORDER BY "timestamp" DESC, transaction_id LIMIT 100',
        days(2, 30),
    ),
    Question(
        "shared_payees",
        "alerts ⋈ transactions: counterparties that alerts of several users have in common",
        "tiim",
        "SELECT t.counterparty_account, count(DISTINCT t.user_id) AS users, count(*) AS alerts, sum(t.amount) AS amount "
        "FROM risk_alerts a JOIN transactions t ON t.transaction_id = a.transaction_id WHERE t.counterparty_account IS NOT NULL "
        "GROUP BY t.counterparty_account HAVING count(DISTINCT t.user_id) > 1 ORDER BY alerts DESC, t.counterparty_account LIMIT 20",
        lambda samples, number: (),
    ),
    Question(
        "alert_page",
        "the 50 newest alerts of a severity with their transactions",
        "twtimt",
        "SELECT a.alert_id, a.created_at, a.title, a.risk_score, t.amount, t.department FROM risk_alerts a JOIN transactions t ON t.transaction_id = a.transaction_id "
        "WHERE a.severity = %s ORDER BY a.created_at DESC, a.alert_id LIMIT 50",
        lambda samples, number: (("high", "critical")[number % 2],),
    ),
    Question(
        "alert_documents",
        "alert ⋈ transaction ⋈ document: a department's week",
        "titmt",
        "SELECT a.alert_id, a.risk_score, t.user_id, t.amount, d.metadata->>'terminal' AS terminal FROM risk_alerts a JOIN transactions t ON t.transaction_id = a.transaction_id "
        'JOIN documents.transaction_metadata d ON d.transaction_id = t.transaction_id WHERE t.department = %s AND t."timestamp" >= %s AND t."timestamp" < %s '
        "ORDER BY a.risk_score DESC, a.alert_id",
        lambda samples, number: (samples.one("departments", number), day(14 + number), day(21 + number)),
    ),
    Question(
        "semi_join",
        f"transactions IN documents: those that {JOINED:,} documents explain with 60 and more",
        "im",
        "SELECT count(*), sum(amount) FROM transactions WHERE transaction_id IN (SELECT transaction_id FROM documents.explanations "
        'WHERE risk_score >= 60 AND "partition" = 0 AND seq >= %s AND seq < %s)',
        lambda samples, number: (max(0, samples.next_seq - JOINED - 1_000 * number), samples.next_seq - 1_000 * number),
    ),
    Question(
        "metadata_filter",
        f"a key of the metadata, over {FILTERED:,} documents",
        "i",
        "SELECT count(*) FROM documents.transaction_metadata WHERE metadata->>'terminal' = %s AND \"partition\" = 0 AND seq >= %s",
        lambda samples, number: (samples.one("terminals", number), max(0, samples.next_seq - FILTERED)),
    ),
    Question(
        "text_top",
        "full text: the ten most relevant alerts",
        "ttif",
        "SELECT alert_id, title, risk_score, score() FROM search.alerts WHERE match(message, %s) ORDER BY score() DESC, alert_id LIMIT 10",
        lambda samples, number: (WORDS[number % len(WORDS)],),
    ),
    Question(
        "text_ledger",
        "full text ⋈ ledger: the largest amounts among what is found",
        "tttm",
        "SELECT a.alert_id, a.severity, t.user_id, t.amount FROM search.alerts a JOIN transactions t ON t.transaction_id = a.transaction_id "
        "WHERE match(a.message, %s) AND t.amount > 1000 ORDER BY t.amount DESC, a.alert_id LIMIT 20",
        lambda samples, number: (WORDS[number % len(WORDS)],),
    ),
    Question(
        "alert_counts",
        "alerts by severity and department, from the index",
        "ttii",
        "SELECT severity, department, count(*), max(risk_score) FROM search.alerts GROUP BY severity, department",
        lambda samples, number: (),
        ordered=False,
    ),
    Question(
        "metrics_day",
        "a day's totals by department, from the metrics",
        "tiiim",
        "SELECT department, sum(transactions), sum(alerts), max(score_max), sum(amount_sum) FROM metrics.throughput WHERE time >= %s AND time < %s GROUP BY department",
        days(10, 1),
        ordered=False,
    ),
    Question(
        "metrics_hours",
        "a department's week by hour, from the metrics",
        "wii",
        "SELECT date_bin('1 hour', time) AS hour, sum(transactions), sum(alerts) FROM metrics.throughput WHERE department = %s AND time >= %s AND time < %s GROUP BY 1 ORDER BY 1",
        lambda samples, number: (samples.one("departments", number), day(5 + number), day(12 + number)),
    ),
    Question(
        "baseline",
        "what is usual for a user",
        "tiftwi",
        "SELECT user_id, transactions, amount_mean, home_department, last_event, alerts FROM baselines.users WHERE user_id = %s",
        lambda samples, number: (samples.one("users", number),),
    ),
    Question(
        "five_stores",
        "five stores: a user's month: transactions, alerts, documents, baseline, and the home department's last day",
        "twmttfi",
        'SELECT t.transaction_id, t."timestamp", t.amount, a.alert_id, d.metadata->>\'terminal\' AS terminal, b.amount_mean, w.transactions FROM transactions t '
        "JOIN search.alerts a ON a.transaction_id = t.transaction_id AND a.user_id = t.user_id "
        "JOIN documents.transaction_metadata d ON d.transaction_id = t.transaction_id "
        "JOIN baselines.users b ON b.user_id = t.user_id "
        "JOIN (SELECT department, sum(transactions) AS transactions FROM metrics.throughput WHERE time >= %s AND time < %s GROUP BY department) w "
        "ON w.department = b.home_department "
        'WHERE t.user_id = %s AND t."timestamp" >= %s AND t."timestamp" < %s ORDER BY t."timestamp", a.alert_id',
        lambda samples, number: (MONTH[1] - timedelta(days=1), MONTH[1], samples.one("suspects", number), *MONTH),
        most=30.0,
    ),
]
