"""Statements that mean harm, made from a seed: injection, depth, size, cross joins of everything, what writes, what is nonsense.

What must stay true: the same seed gives the same statements; each says whether it must fail and, where its answer is known, what it is.
Parameters are written `$1`, `$2` ….
"""

import random
from dataclasses import dataclass, field

TABLES = [
    "ledger.transactions", "ledger.risk_alerts", "ledger.user_profiles", "ledger.high_risk_transactions", "ledger.transaction_summary", "ledger.user_risk_summary",
    "ledger.audit_log", "ledger.system_metrics", "documents.transaction_metadata", "documents.explanations", "metrics.throughput", "baselines.users", "search.alerts",
    "log.hospital_transactions", "log.risk_scores", "log.scorer_state", "system.freshness", "system.stores", "system.queries", "information_schema.columns",
    "pg_catalog.pg_class", "pg_catalog.pg_attribute", "pg_catalog.pg_type",
]  # fmt: skip

# What breaks out of a text, an identifier, a path, a pattern or a query language, were it ever formatted into one.
POISON = [
    "' OR '1'='1", "'; DROP TABLE transactions; --", "\\'; DROP TABLE transactions; --", "\" OR \"\"=\"", "$$; DROP TABLE x; $$", "%' OR 1=1 --", "_%", "\\", "\\\\", "''", "'",
    "\"", "`", "$1", "${jndi:ldap://127.0.0.1/x}", "{{7*7}}", "$where", "$gt", '{"$gt": ""}', '{"$where": "sleep(1000)"}', "a.b.c", "a[0]", "a\u0000b".replace("\u0000", "\u2400"), "*", "?",
    "field:*", "title:[* TO *]", "_exists_:title", "AND", "NOT", "((((", "\"a", "~999999999", "a~2 \"b\"~-1", "|> drop(fn: (column) => true)", "\") |> yield() //", "\n|> drop()", "; FLUSHALL",
    "\r\nDEL *\r\n", "*:*", "../../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "C:\\\\x", "\u202e\u200b\ufeff", "🏥" * 50, "é" * 1000, "Z\u0351\u0342\u0310" * 20, "-0", "1e309", "NaN",
    "0x41", "--", "/*", "*/", "/* /* */", "x" * 10_000, "%" * 500, "(" * 500, "[" * 500, "(a+)+$",
]  # fmt: skip

FORBIDDEN = [
    "DROP TABLE ledger.transactions", "DELETE FROM ledger.transactions", "TRUNCATE ledger.transactions", "UPDATE ledger.risk_alerts SET status = 'closed'",
    "INSERT INTO ledger.audit_log VALUES ('a')", "CREATE TABLE x AS SELECT 1", "CREATE VIEW x AS SELECT 1", "ALTER TABLE ledger.transactions ADD COLUMN x int", "GRANT ALL ON ledger.transactions TO public",
    "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'", "COPY ledger.transactions TO '/tmp/x.csv'", "COPY (SELECT 1) TO '/tmp/x.csv'", "COPY (SELECT 1) TO PROGRAM 'id'",
    "COPY ledger.transactions FROM '/etc/passwd'", "COPY ledger.transactions FROM PROGRAM 'id'", "SELECT * FROM '/etc/passwd'", "SELECT * FROM \"/etc/passwd\"", "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('/etc/passwd')", "SELECT * FROM parquet_metadata('/etc/passwd')", "SELECT pg_read_file('/etc/passwd')", "SELECT pg_ls_dir('/')", "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM dblink('host=127.0.0.1', 'SELECT 1') AS t(x int)", "SET datafusion.execution.target_partitions = 100000", "SET datafusion.runtime.memory_limit = '100G'",
    "SET datafusion.catalog.location = '/etc'", "SET wardhouse.read = 'anything'", "SET no_such_setting = 1", "SET role = 'admin'", "SET SESSION AUTHORIZATION admin", "DO $$ BEGIN PERFORM 1; END $$",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE EXTENSION dblink", "LOAD 'x.so'", "CALL f()", "LOCK TABLE ledger.transactions", "VACUUM", "ANALYZE ledger.transactions",
    "REINDEX TABLE ledger.transactions", "CREATE DATABASE x", "CREATE USER x", "SELECT 1 INTO x", "WITH x AS (DELETE FROM ledger.transactions RETURNING 1) SELECT * FROM x",
    "EXPLAIN ANALYZE DELETE FROM ledger.transactions", "MERGE INTO ledger.transactions t USING ledger.risk_alerts a ON true WHEN MATCHED THEN DELETE", "CREATE CATALOG x", "CREATE SCHEMA x",
    "IMPORT FOREIGN SCHEMA x FROM SERVER y INTO z", "SECURITY LABEL ON TABLE x IS 'y'", "NOTIFY x", "DETACH x", "ATTACH '/etc/passwd' AS x", "PRAGMA database_list", "EXECUTE no_such_statement",
]  # fmt: skip

VALID = [
    "SELECT transaction_id, amount FROM ledger.transactions WHERE amount > 10 AND department IN ('IT', 'Finance') ORDER BY amount DESC LIMIT 5",
    "SELECT department, count(*), sum(amount) FROM ledger.transactions GROUP BY 1 HAVING count(*) > 3 ORDER BY 2",
    "SELECT a.severity, t.amount FROM ledger.risk_alerts a JOIN ledger.transactions t USING (transaction_id) WHERE t.risk_score >= 70 LIMIT 9",
    "SELECT title, score() FROM search.alerts WHERE match(message, 'refund OR payment') ORDER BY score() DESC LIMIT 3",
    "SELECT metadata ->> 'ip' AS ip, count(*) FROM documents.transaction_metadata GROUP BY 1 ORDER BY 2 DESC LIMIT 3",
    "SELECT date_trunc('day', time) AS day, sum(alerts) FROM metrics.throughput WHERE time >= '2026-01-05' GROUP BY 1 ORDER BY 1",
    "SELECT * FROM baselines.users WHERE user_id LIKE 'USR-1%' AND NOT (alerts = 0 OR amount_mean < 5)",
    "WITH t AS (SELECT user_id, row_number() OVER (PARTITION BY user_id ORDER BY amount DESC) AS n FROM ledger.transactions) SELECT count(*) FROM t WHERE n = 1",
    "SELECT CASE WHEN is_anomaly THEN 'yes' ELSE 'no' END, avg(risk_score)::numeric(10,2) FROM ledger.transactions GROUP BY 1",
    "SELECT partition, \"offset\", append_time FROM log.risk_scores WHERE \"offset\" < 5 AND partition = 1",
]  # fmt: skip


@dataclass
class Statement:
    """One, and what becomes of it."""

    kind: str
    sql: str
    parameters: list = field(default_factory=list)
    # It must end in an error.
    must_fail: bool = False
    # The one value of its answer, where that is known.
    answer: object = None


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def text(value):
    return "'" + value.replace("'", "''") + "'"


def injections(dice):
    poison = dice.choice(POISON)
    column = dice.choice(["transaction_id", "user_id", "department", "description", "counterparty_account"])
    name = poison[:60] or "x"
    return dice.choice(
        [
            # As values they match nothing, whatever they say.
            lambda: Statement("a parameter", f"SELECT count(*) FROM ledger.transactions WHERE {column} = $1", [poison], answer=0),
            lambda: Statement("a parameter", "SELECT count(*) FROM search.alerts WHERE user_id = $1 OR alert_id IN ($2, $3)", [poison, poison + "x", "y" + poison], answer=0),
            lambda: Statement("a parameter", "SELECT count(*) FROM baselines.users WHERE user_id = $1", [poison], answer=0),
            lambda: Statement("a parameter", "SELECT count(*) FROM documents.explanations WHERE risk_level = $1", [poison], answer=0),
            lambda: Statement("a parameter", "SELECT count(*) FROM metrics.throughput WHERE department = $1 AND time > '2026-01-01'", [poison], answer=0),
            lambda: Statement("a parameter", "SELECT $1 = $2", [poison, poison], answer=True),
            lambda: Statement("a pattern", "SELECT count(*) FROM ledger.transactions WHERE description LIKE $1", [poison]),
            lambda: Statement("a pattern", "SELECT count(*) FROM ledger.risk_alerts WHERE regexp_like(message, $1)", [poison]),
            lambda: Statement("a full-text query", f"SELECT count(*) FROM search.alerts WHERE match(message, {text(poison)})"),
            lambda: Statement("a full-text query", f"SELECT count(*) FROM search.alerts WHERE match(title, {text(' OR '.join(dice.choices(POISON, k=9))[:900])})"),
            lambda: Statement("a JSON path", f"SELECT count(*) FROM documents.transaction_metadata WHERE metadata ->> {text(poison)} = 'x'", answer=0),
            lambda: Statement("a JSON path", "SELECT count(*) FROM documents.transaction_metadata WHERE metadata -> 'nested' ->> $1 = $2", [poison, poison], answer=0),
            lambda: Statement("a JSON path", f"SELECT count(metadata {' '.join('-> ' + text(one) for one in dice.choices(POISON, k=6))}) FROM ledger.transactions"),
            lambda: Statement("a JSON document", f"SELECT count(*) FROM documents.transaction_metadata WHERE metadata @> {text(poison)}"),
            lambda: Statement("an identifier", f"SELECT 1 AS {quoted(name)}", answer=1),
            lambda: Statement("an identifier", f"SELECT {quoted(name)} FROM ledger.transactions", must_fail=True),
            lambda: Statement("an identifier", f"SELECT * FROM ledger.{quoted(name)}", must_fail=True),
            lambda: Statement("an identifier", f"SELECT * FROM {quoted(name)}.transactions", must_fail=True),
            lambda: Statement("an identifier", f"SELECT {quoted(name)}(1)", must_fail=True),
            lambda: Statement("a setting", f"SET {dice.choice(['wardhouse.read', 'statement_timeout', 'TimeZone'])} = {text('x' + poison)}", must_fail=True),
            lambda: Statement("a literal", f"SELECT count(*) FROM ledger.transactions WHERE {column} = {text(poison)}", answer=0),
            lambda: Statement("broken out", f"SELECT count(*) FROM ledger.transactions WHERE {column} = '{poison}'"),
        ]
    )()


def depths(dice):
    deep = dice.choice([20, 40, 70, 500, 5_000, 50_000])
    wide = dice.choice([1_000, 10_000, 30_000])
    return Statement(
        "depth",
        dice.choice(
            [
                lambda: "SELECT " + "(" * deep + "1" + ")" * deep,
                lambda: "SELECT " + "NOT " * deep + "true",
                lambda: "SELECT " + "- " * deep + "1",
                lambda: "SELECT " + "abs(" * deep + "1" + ")" * deep,
                lambda: "SELECT " + "CASE WHEN true THEN " * deep + "1" + " END" * deep,
                lambda: "SELECT * FROM " + "(SELECT * FROM " * deep + "ledger.user_profiles" + ") x" * deep,
                lambda: "SELECT " + "ARRAY[" * deep + "1" + "]" * deep,
                lambda: "SELECT 1" + "::int" * deep,
                lambda: "SELECT " + "CAST(" * deep + "1 1" + " AS int)" * deep,
                lambda: "SELECT " + "(SELECT " * deep + "1" + ")" * deep,
                lambda: "SELECT " + "coalesce(1, substring(" * deep + "1 1" + "))" * deep,
                lambda: "SELECT 1 WHERE " + "EXISTS (SELECT 1 WHERE " * deep + "true" + ")" * deep,
                lambda: " UNION ALL ".join(["SELECT 1"] * wide),
                lambda: "SELECT " + " + ".join(["1"] * wide),
                lambda: "SELECT " + " || ".join(["'a'"] * wide),
                lambda: "SELECT count(*) FROM ledger.transactions WHERE " + " OR ".join(f"amount = {place}" for place in range(wide)),
                lambda: "SELECT count(*) FROM ledger.transactions WHERE " + " AND ".join(f"user_id <> '{place}'" for place in range(wide)),
                lambda: "SELECT count(*) FROM ledger.transactions WHERE transaction_id IN (" + ",".join(f"'{place}'" for place in range(wide)) + ")",
                lambda: "WITH " + ", ".join(f"t{place} AS (SELECT * FROM {'t%d' % (place - 1) if place else 'ledger.user_profiles'})" for place in range(min(wide, 3_000))) + " SELECT count(*) FROM t0",
                # Each uses the one before it twice.
                lambda: "WITH t0 AS (SELECT 1 AS x), " + ", ".join(f"t{place} AS (SELECT a.x FROM t{place - 1} a, t{place - 1} b)" for place in range(1, 40)) + " SELECT count(*) FROM t39",
                lambda: "SELECT " + ", ".join(f"{place} AS c{place}" for place in range(wide)),
                lambda: f"SELECT count(*) FROM documents.transaction_metadata WHERE metadata @> '{'[' * deep}{']' * deep}'",
                lambda: f"SELECT CAST('{'{' * min(deep, 5_000)}1{'}' * min(deep, 5_000)}' AS int[])",
                lambda: "SELECT metadata" + " -> 'a'" * deep + " FROM documents.transaction_metadata LIMIT 1",
                lambda: "EXPLAIN " * deep + "SELECT 1",
                lambda: "SELECT * FROM search.alerts WHERE match(message, '" + "(" * min(deep, 900) + "a')",
                lambda: "/*" * deep + "*/" * deep + " SELECT 1",
            ]
        )(),
    )


def joins(dice):
    tables = dice.choices(TABLES, k=dice.randint(3, 8))
    product = ", ".join(f"{table} t{place}" for place, table in enumerate(tables))
    return Statement(
        "everything crossed",
        dice.choice(
            [
                lambda: f"SELECT * FROM {product}",
                lambda: f"SELECT count(*) FROM {product}",
                lambda: f"SELECT * FROM {product} ORDER BY 1, 2, 3",
                lambda: f"SELECT DISTINCT * FROM {product}",
                lambda: f"SELECT t0.*, count(*) OVER (ORDER BY 1) FROM {product}",
                lambda: f"SELECT array_agg(t0) FROM {product}",
                lambda: "SELECT string_agg(a.metadata || b.metadata, ',') FROM ledger.transactions a, ledger.transactions b",
                lambda: "SELECT a.user_id, b.user_id, c.user_id, count(*) FROM ledger.transactions a, ledger.transactions b, ledger.transactions c GROUP BY 1, 2, 3",
                lambda: "SELECT count(DISTINCT a.content_hash || b.content_hash) FROM ledger.transactions a, ledger.transactions b",
                lambda: "SELECT * FROM ledger.transactions a FULL JOIN ledger.transactions b ON a.amount < b.amount ORDER BY a.amount + b.amount",
                lambda: "SELECT a.content_hash FROM ledger.transactions a, ledger.transactions b ORDER BY b.content_hash || a.content_hash",
                lambda: "SELECT * FROM (" + " UNION ".join(f"SELECT {place}, a.content_hash, b.content_hash FROM ledger.transactions a, ledger.transactions b" for place in range(5)) + ") x",
                lambda: "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT * FROM t",
                lambda: "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT a.n + b.n FROM t a, t b) SELECT count(*) FROM t",
                lambda: "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t",
                lambda: f"SELECT * FROM generate_series(1, {dice.choice([10**9, 10**15, 9_223_372_036_854_775_807])})",
                lambda: "SELECT count(*) FROM generate_series(1, 1000000000) a, generate_series(1, 1000000000) b",
                lambda: "SELECT * FROM generate_series(1, 9223372036854775807, 0)",
                lambda: "SELECT unnest(range(1, 1000000000000))",
                lambda: "SELECT * FROM generate_series(TIMESTAMP '0001-01-01', TIMESTAMP '9999-12-31', INTERVAL '1 microsecond')",
                lambda: "SELECT sum(a.amount * b.amount) OVER (PARTITION BY a.user_id ORDER BY b.amount) FROM ledger.transactions a, ledger.transactions b",
            ]
        )(),
    )


def extremes(dice):
    return Statement(
        "an extreme value",
        dice.choice(
            [
                "SELECT repeat('x', 2000000000)", "SELECT repeat(repeat('x', 100000), 100000)", "SELECT lpad('x', 2147483647, 'y')", "SELECT rpad('x', 1000000000)", "SELECT power(10, 400)",
                "SELECT 9223372036854775807 + 1", "SELECT -9223372036854775808 - 1", "SELECT abs(-9223372036854775808)", "SELECT 1 / 0", "SELECT 1 % 0", "SELECT 1.0 / 0.0", "SELECT factorial(100)",
                "SELECT CAST('99999999999999999999' AS bigint)", "SELECT CAST(1e400 AS double precision)", "SELECT CAST('x' AS int)", "SELECT 99999999999999999999999999999999999999 * 10",
                "SELECT " + "9" * 5_000, "SELECT 0." + "1" * 5_000, "SELECT CAST(1 AS numeric(1000, 999))", "SELECT TIMESTAMP '294277-01-01'", "SELECT TIMESTAMP '-4713-01-01'", "SELECT DATE '9999-12-31' + 1000000",
                "SELECT TIMESTAMP '9999-12-31' + INTERVAL '1000000 years'", "SELECT INTERVAL '9223372036854775807 days'", "SELECT date_trunc('x', now())", "SELECT date_bin(INTERVAL '0 seconds', now())",
                "SELECT date_bin(INTERVAL '-1 seconds', now())", "SELECT date_bin(INTERVAL '1 nanosecond', time), count(*) FROM metrics.throughput GROUP BY 1", "SELECT substr('x', -2147483648, 2147483647)",
                "SELECT * FROM ledger.transactions LIMIT -1", "SELECT * FROM ledger.transactions LIMIT 9223372036854775807 OFFSET 9223372036854775807", "SELECT * FROM ledger.transactions OFFSET 1e18",
                "SELECT chr(0)", "SELECT chr(1114112)", "SELECT encode('x', 'y')", "SELECT decode('zz', 'hex')", "SELECT regexp_replace(repeat('a', 30), '(a+)+$', 'b')", "SELECT regexp_like('x', '(')",
                "SELECT regexp_like('x', 'a{1000}{1000}{1000}')", "SELECT repeat('a', 100000) LIKE repeat('%a', 10000)", "SELECT 'a' SIMILAR TO repeat('(a|b)*', 1000)", "SELECT array_fill(1, ARRAY[1000000000])",
                "SELECT array_repeat(1, 2000000000)", "SELECT array_repeat(array_repeat(1, 100000), 100000)", "SELECT array_resize([1], 2000000000, 0)", "SELECT range(1, 10000000000)", "SELECT ntile(0) OVER () FROM ledger.user_profiles",
                "SELECT round(1.5, 2147483647)", "SELECT to_char(now(), repeat('Y', 100000))", "SELECT to_timestamp(1e30)", "SELECT percentile_cont(2) WITHIN GROUP (ORDER BY amount) FROM ledger.transactions",
                "SELECT approx_percentile_cont(amount, 0.5, 1000000000) FROM ledger.transactions", "SELECT split_part('x', 'y', -2147483648)", "SELECT set_bit('x', 99999999, 1)", "SELECT overlay('x' placing 'y' from 0 for -1)",
                "SELECT levenshtein(repeat('x', 100000), repeat('y', 100000))", "SELECT nth_value(1, 0) OVER () FROM ledger.user_profiles", "SELECT $1", "SELECT $65536", "SELECT $0", "SELECT $99999999999999999999",
                "SELECT", ";", "", " ", "--", "/*", "'", "\"", "$$", "$x$", "E'\\", "U&'\\0000'", "SELECT E'\\x00'", "SELECT 'a\\0b'", "SELECT \ufeff1", "SELECT 1;;;;;;", "SELECT 1; SELECT 2; DROP TABLE x",
                "FETCH ALL FROM nowhere", "CLOSE nowhere", "DEALLOCATE nowhere", "DECLARE c CURSOR FOR SELECT * FROM ledger.transactions a, ledger.transactions b", "COMMIT", "ROLLBACK", "SHOW nothing",
                "EXPLAIN ANALYZE SELECT count(*) FROM ledger.transactions a, ledger.transactions b, ledger.transactions c", "SELECT * FROM system.queries, system.queries, system.queries", "DISCARD ALL",
                "SELECT count(*) FROM baselines.users WHERE user_id IN (SELECT user_id || generate_series FROM ledger.transactions, generate_series(1, 100000))",
                "SELECT count(*) FROM log.scorer_state a, log.scorer_state b WHERE a.value > b.value", "COPY (SELECT * FROM ledger.transactions a, ledger.transactions b) TO STDOUT",
                "COPY (SELECT 1) TO STDOUT (DELIMITER 'xx')", "COPY (SELECT 1) TO STDOUT (FORMAT no_such)", "COPY (SELECT 1) TO STDOUT (QUOTE '')", "SELECT pg_sleep(100000)", "SELECT pg_terminate_backend(1)",
                "SELECT set_config('datafusion.execution.batch_size', '0', false)", "SELECT current_setting('no.such')", "SELECT nextval('x')", "LISTEN x", "SELECT txid_current()", "TABLE ledger.transactions",
            ]
        ),
    )  # fmt: skip


def mutants(dice):
    pieces = dice.choice(VALID).split(" ")
    for _ in range(dice.randint(1, 6)):
        place = dice.randrange(len(pieces))
        dice.choice(
            [
                lambda: pieces.pop(place) if len(pieces) > 2 else None,
                lambda: pieces.insert(place, dice.choice(pieces)),
                lambda: pieces.insert(place, dice.choice(POISON)[:200]),
                lambda: pieces.__setitem__(place, dice.choice(dice.choice(VALID).split(" "))),
                lambda: pieces.__setitem__(place, pieces[place][::-1]),
                lambda: pieces.insert(place, "".join(chr(dice.choice([dice.randrange(1, 128), dice.randrange(0xA0, 0xD7FF), dice.randrange(0x10000, 0x1FFFF)])) for _ in range(5))),
            ]
        )()
    return Statement("nonsense", " ".join(pieces))


def giants():
    """Ten megabytes each, in ways of their own."""
    size = 10_000_000
    yield Statement("10 MB", "SELECT '" + "x" * size + "'", must_fail=True)
    yield Statement("10 MB", "SELECT 1 /*" + "x" * size + "*/", must_fail=True)
    yield Statement("10 MB", "SELECT 1 " + " " * size, must_fail=True)
    yield Statement("10 MB", "SELECT " + "(" * size, must_fail=True)
    yield Statement("10 MB", "SELECT 1 AS " + "x" * size, must_fail=True)
    yield Statement("10 MB", "SELECT count(*) FROM ledger.transactions WHERE seq IN (" + ",".join(map(str, range(1_300_000))) + ")", must_fail=True)
    yield Statement("10 MB", ";" * size)
    yield Statement("10 MB", "é" * (size // 2), must_fail=True)
    # A value may be long; what is asked of it is not.
    yield Statement("10 MB", "SELECT count(*) FROM ledger.transactions WHERE user_id = $1", ["x" * (size - 100_000)])


def statements(seed, count):
    """`count` of them."""
    dice = random.Random(seed)
    made = [Statement("forbidden", sql, must_fail=True) for sql in FORBIDDEN] + list(giants())
    kinds = [injections] * 9 + [depths] * 2 + [joins] + [extremes] * 4 + [mutants] * 4
    while len(made) < count:
        made.append(dice.choice(kinds)(dice))
    dice.shuffle(made)
    return made[:count]
