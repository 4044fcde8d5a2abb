import static java.util.Arrays.asList;

import java.math.BigDecimal;
import java.io.StringWriter;
import java.sql.*;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import org.postgresql.PGConnection;

/** The JDBC driver of PostgreSQL: metadata as tools ask for it, binary transfer, portals with row limits, cancel, time-outs, COPY. */
final class Pgjdbc {
    static Connection connect() throws SQLException {
        return connect("");
    }

    static Connection connect(String more) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        if (System.getenv("PGPASSWORD") != null) properties.setProperty("password", System.getenv("PGPASSWORD"));
        if (Checks.SECURE) {
            properties.setProperty("sslmode", "verify-full");
            properties.setProperty("sslrootcert", System.getenv("PGSSLROOTCERT"));
        } else {
            properties.setProperty("sslmode", "disable");
        }
        return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE") + "?connectTimeout=10" + more, properties);
    }

    static ResultSet ask(Connection connection, String sql, Object... values) throws SQLException {
        PreparedStatement statement = connection.prepareStatement(sql);
        for (int place = 0; place < values.length; place++) statement.setObject(place + 1, values[place]);
        return statement.executeQuery();
    }

    static Object one(Connection connection, String sql, Object... values) throws SQLException {
        try (ResultSet rows = ask(connection, sql, values)) {
            Checks.holds(rows.next(), "no row");
            return rows.getObject(1);
        }
    }

    public static void main(String[] arguments) {
        Checks checks = new Checks("pgjdbc", arguments);

        checks.basic("connects and runs a parameterised query", () -> {
            try (Connection connection = connect()) {
                Checks.equal(one(connection, "SELECT amount FROM ledger.transactions WHERE transaction_id = ?", "CLIENT-2"), new BigDecimal("0.01"));
                Checks.holds(connection.isValid(5), "not valid");
                Checks.holds(connection.getMetaData().getDatabaseMajorVersion() >= 12, "version");
                Checks.equal(connection.getSchema(), "ledger");
            }
        });

        checks.that("metadata: schemas, tables, columns", () -> {
            try (Connection connection = connect()) {
                DatabaseMetaData metadata = connection.getMetaData();
                Checks.holds(Checks.column(metadata.getSchemas(), "TABLE_SCHEM").containsAll(List.of("ledger", "documents", "metrics", "baselines", "search", "system")), "schemas");
                Checks.holds(Checks.column(metadata.getCatalogs(), "TABLE_CAT").contains(System.getenv("PGDATABASE")), "catalogs");
                Checks.holds(Checks.column(metadata.getTables(null, "ledger", "%", new String[] {"TABLE", "VIEW"}), "TABLE_NAME").containsAll(List.of("transactions", "risk_alerts", "user_profiles")), "tables");
                Checks.equal(Checks.column(metadata.getTables(null, "ledger", "transactions", null), "TABLE_TYPE"), List.of("TABLE"));
                List<String> columns = new ArrayList<>();
                try (ResultSet rows = metadata.getColumns(null, "ledger", "transactions", "%")) {
                    while (rows.next()) {
                        columns.add(rows.getString("COLUMN_NAME") + " " + rows.getString("TYPE_NAME") + " " + rows.getInt("DATA_TYPE") + " " + rows.getString("IS_NULLABLE") + " " + rows.getInt("ORDINAL_POSITION"));
                    }
                }
                Checks.equal(columns.size(), 24);
                Checks.equal(columns.get(0), "transaction_id text " + Types.VARCHAR + " NO 1");
                Checks.equal(columns.get(1), "timestamp timestamptz " + Types.TIMESTAMP + " NO 2");
                Checks.equal(columns.get(4), "counterparty_account text " + Types.VARCHAR + " YES 5");
                Checks.equal(columns.get(7), "amount numeric " + Types.NUMERIC + " NO 8");
                Checks.equal(columns.get(11), "is_anomaly bool " + Types.BIT + " NO 12");
                Checks.equal(columns.get(23), "seq int8 " + Types.BIGINT + " NO 24");
                try (ResultSet rows = metadata.getColumns(null, "ledger", "transactions", "amount")) {
                    rows.next();
                    Checks.equal(asList(rows.getInt("COLUMN_SIZE"), rows.getInt("DECIMAL_DIGITS")), List.of(15, 2));
                }
            }
        });

        checks.that("metadata: keys, indexes, types, functions, rights", () -> {
            try (Connection connection = connect()) {
                DatabaseMetaData metadata = connection.getMetaData();
                List<ResultSet> all = new ArrayList<>();
                all.add(metadata.getPrimaryKeys(null, "ledger", "transactions"));
                all.add(metadata.getIndexInfo(null, "ledger", "transactions", false, true));
                all.add(metadata.getImportedKeys(null, "ledger", "transactions"));
                all.add(metadata.getExportedKeys(null, "ledger", "transactions"));
                all.add(metadata.getTableTypes());
                all.add(metadata.getTypeInfo());
                all.add(metadata.getFunctions(null, null, "%"));
                all.add(metadata.getProcedures(null, null, "%"));
                all.add(metadata.getTablePrivileges(null, "ledger", "transactions"));
                all.add(metadata.getBestRowIdentifier(null, "ledger", "transactions", DatabaseMetaData.bestRowSession, true));
                all.add(metadata.getUDTs(null, null, "%", null));
                for (ResultSet rows : all) {
                    while (rows.next()) rows.getObject(1);
                    rows.close();
                }
                Checks.holds(metadata.getSQLKeywords() != null && metadata.getMaxColumnNameLength() >= 63, "keywords, names");
            }
        });

        checks.that("metadata of a result", () -> {
            try (Connection connection = connect(); PreparedStatement statement = connection.prepareStatement("SELECT amount AS money, \"timestamp\", is_anomaly FROM ledger.transactions WHERE user_id = ? AND seq > ?")) {
                ResultSetMetaData metadata = statement.getMetaData();
                Checks.equal(asList(metadata.getColumnLabel(1), metadata.getColumnTypeName(1), metadata.getPrecision(1), metadata.getScale(1)), List.of("money", "numeric", 15, 2));
                Checks.equal(asList(metadata.getColumnTypeName(2), metadata.getColumnTypeName(3)), List.of("timestamptz", "bool"));
                Checks.equal(asList(statement.getParameterMetaData().getParameterTypeName(1), statement.getParameterMetaData().getParameterTypeName(2)), List.of("text", "int8"));
                // These ask the catalog for the table behind the column.
                metadata.isNullable(1);
                metadata.isAutoIncrement(1);
                metadata.getTableName(1);
            }
        });

        checks.that("reads a row: NULL, money, instant, boolean, unicode", () -> {
            try (Connection connection = connect(); ResultSet rows = ask(connection, "SELECT \"timestamp\", user_id, counterparty_account, amount, description, is_anomaly, risk_score, seq FROM ledger.transactions WHERE transaction_id = ?", "CLIENT-1")) {
                Checks.holds(rows.next(), "no row");
                // The machine is in Berlin: tests/clients says so.
                Checks.equal(rows.getTimestamp(1).toInstant(), Instant.parse("2026-10-20T12:34:56.789012Z"));
                Checks.equal(rows.getObject(1, OffsetDateTime.class).toInstant(), Instant.parse("2026-10-20T12:34:56.789012Z"));
                Checks.equal(rows.getString(2), "USR-Zoë");
                Checks.equal(rows.getString(3), null);
                Checks.holds(rows.wasNull(), "wasNull");
                Checks.equal(rows.getBigDecimal(4), new BigDecimal("9999999999999.99"));
                Checks.equal(rows.getString(5), Checks.TEXT);
                Checks.equal(rows.getObject(6), false);
                Checks.holds(rows.getObject(7) instanceof Integer && rows.getObject(8) instanceof Long, "integers");
            }
        });

        // The first five runs are answered as text, later ones as binary where the driver knows the type.
        checks.that("reads every type and its NULL, as text and as binary", () -> {
            String sql = "SELECT CAST(-32768 AS smallint), CAST(-2147483648 AS integer), CAST(9223372036854775807 AS bigint), CAST(1.5 AS real), CAST(-0.1 AS double precision), CAST('NaN' AS double precision),"
                + " CAST(-9999999999999.99 AS numeric(15,2)), true, false, 'Zürich – 東京 🏥', '', CAST('2026-02-28' AS date), CAST('2026-02-28 12:34:56.789012' AS timestamp), CAST('2026-02-28T12:34:56.789012Z' AS timestamptz),"
                + " ARRAY['a', NULL, '\"ü,'], CAST(NULL AS integer), CAST(NULL AS numeric(15,2)), CAST(NULL AS timestamptz), CAST(NULL AS boolean), CAST(NULL AS text)";
            for (String more : List.of("", "&prepareThreshold=-1", "&preferQueryMode=simple")) {
                try (Connection connection = connect(more); PreparedStatement statement = connection.prepareStatement(sql)) {
                    for (int round = 0; round < 8; round++) {
                        try (ResultSet rows = statement.executeQuery()) {
                            rows.next();
                            Checks.equal(rows.getInt(1), -32768);
                            List<Object> expected = asList(-2147483648, 9223372036854775807L, 1.5f, -0.1, Double.NaN, new BigDecimal("-9999999999999.99"), true, false, "Zürich – 東京 🏥", "", Date.valueOf("2026-02-28"), Timestamp.valueOf("2026-02-28 12:34:56.789012"));
                            for (int place = 0; place < expected.size(); place++) Checks.equal(rows.getObject(place + 2), expected.get(place));
                            Checks.equal(rows.getObject(14, OffsetDateTime.class).toInstant(), Instant.parse("2026-02-28T12:34:56.789012Z"));
                            Checks.equal(asList((Object[]) rows.getArray(15).getArray()), asList("a", null, "\"ü,"));
                            for (int place = 16; place <= 20; place++) Checks.equal(rows.getObject(place), null);
                        }
                    }
                }
            }
        });

        checks.that("parameters of every type", () -> {
            try (Connection connection = connect()) {
                String count = "SELECT count(*) FROM ledger.transactions WHERE transaction_id LIKE 'CLIENT-%' AND ";
                OffsetDateTime time = OffsetDateTime.of(2026, 10, 20, 12, 34, 57, 0, ZoneOffset.UTC);
                for (int round = 0; round < 7; round++) {
                    Checks.equal(one(connection, count + "\"timestamp\" >= ?", time), 2L);
                    Checks.equal(one(connection, count + "amount = ?", new BigDecimal("9999999999999.99")), 1L);
                    Checks.equal(one(connection, count + "amount <= ?", 10), 2L);
                    Checks.equal(one(connection, count + "seq >= ?", 0L), 3L);
                    Checks.equal(one(connection, count + "is_anomaly = ?", false), 3L);
                    Checks.equal(one(connection, count + "description = ?", Checks.TEXT), 1L);
                    Checks.equal(one(connection, count + "transaction_id = ANY(?)", connection.createArrayOf("text", new Object[] {"CLIENT-1", "CLIENT-3", null})), 2L);
                }
                try (PreparedStatement statement = connection.prepareStatement(count + "\"timestamp\" = ? AND (counterparty_account IS NULL OR counterparty_account = ?)")) {
                    statement.setTimestamp(1, Timestamp.from(Instant.parse("2026-10-20T12:34:56.789012Z")));
                    statement.setNull(2, Types.VARCHAR);
                    try (ResultSet rows = statement.executeQuery()) {
                        rows.next();
                        Checks.equal(rows.getLong(1), 1L);
                    }
                }
                Checks.equal(one(connection, "SELECT account_id FROM ledger.transactions WHERE user_id = ?", Checks.HOSTILE_NAME), "ACC-%_\\");
            }
        });

        checks.that("fetch size in a transaction: pieces of a portal, two at a time", () -> {
            try (Connection connection = connect()) {
                connection.setAutoCommit(false);
                connection.setReadOnly(true);
                try (Statement one = connection.createStatement(); Statement other = connection.createStatement()) {
                    one.setFetchSize(500);
                    other.setFetchSize(300);
                    ResultSet left = one.executeQuery("SELECT transaction_id FROM ledger.transactions ORDER BY transaction_id");
                    ResultSet right = other.executeQuery("SELECT transaction_id FROM ledger.transactions ORDER BY transaction_id");
                    int rows = 0;
                    while (left.next()) {
                        Checks.holds(right.next(), "the second ended early");
                        Checks.equal(right.getString(1), left.getString(1));
                        rows++;
                    }
                    Checks.equal(rows, Checks.ROWS);
                    ResultSet early = one.executeQuery("SELECT * FROM ledger.transactions");
                    early.next();
                    early.close();
                }
                connection.commit();
            }
        });

        checks.that("a limit of rows, several statements, COPY out", () -> {
            try (Connection connection = connect(); Statement statement = connection.createStatement()) {
                statement.setMaxRows(7);
                Checks.equal(Checks.column(statement.executeQuery("SELECT transaction_id FROM ledger.transactions"), "transaction_id").size(), 7);
                statement.setMaxRows(0);
                Checks.holds(statement.execute("SELECT 'a' AS x; SELECT 'b' AS x"), "no first");
                Checks.equal(Checks.column(statement.getResultSet(), "x"), List.of("a"));
                Checks.holds(statement.getMoreResults(), "no second");
                Checks.equal(Checks.column(statement.getResultSet(), "x"), List.of("b"));
                StringWriter text = new StringWriter();
                long rows = connection.unwrap(PGConnection.class).getCopyAPI().copyOut("COPY (SELECT transaction_id FROM ledger.transactions) TO STDOUT WITH (FORMAT csv)", text);
                Checks.equal(asList(rows, text.toString().lines().count()), List.of((long) Checks.ROWS, (long) Checks.ROWS));
            }
        });

        checks.that("errors have SQLSTATE, and the connection goes on", () -> {
            try (Connection connection = connect()) {
                for (String[] pair : new String[][] {{"SELECT no_such_column FROM ledger.transactions", "42703"}, {"SELECT 1 FROM ledger.no_such_table", "42P01"}, {"SELEC 1", "42601"}}) {
                    try {
                        one(connection, pair[0]);
                        throw new AssertionError(pair[0] + " was taken");
                    } catch (SQLException error) {
                        Checks.equal(error.getSQLState(), pair[1]);
                    }
                }
                Checks.equal(one(connection, "SELECT 'x' AS x"), "x");
            }
        });

        // Of the kind that DBeaver and other tools send: all columns of the catalog's tables, with functions that describe.
        checks.that("what tools ask of pg_catalog", () -> {
            try (Connection connection = connect()) {
                for (String sql : List.of(
                    "SELECT d.oid, d.* FROM pg_catalog.pg_database d WHERE d.datallowconn AND NOT d.datistemplate OR d.datname = current_database() ORDER BY d.datname",
                    "SELECT n.oid, n.*, e.description FROM pg_catalog.pg_namespace n LEFT JOIN pg_catalog.pg_description e ON e.objoid = n.oid AND e.objsubid = 0 AND e.classoid = 'pg_namespace'::regclass ORDER BY n.nspname",
                    "SELECT t.oid, t.*, c.relkind, format_type(nullif(t.typbasetype, 0), t.typtypmod) AS base FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid WHERE t.typname IS NOT NULL ORDER BY t.oid",
                    "SELECT c.oid, c.*, e.description, pg_catalog.pg_get_userbyid(c.relowner) AS owner FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_description e ON e.objoid = c.oid AND e.objsubid = 0 WHERE c.relkind NOT IN ('i', 'I', 'c')",
                    "SELECT c.relname, a.*, pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) AS value, e.description FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON a.attrelid = c.oid"
                        + " LEFT JOIN pg_catalog.pg_attrdef d ON a.attrelid = d.adrelid AND a.attnum = d.adnum LEFT JOIN pg_catalog.pg_description e ON c.oid = e.objoid AND a.attnum = e.objsubid"
                        + " WHERE NOT a.attisdropped AND a.attnum > 0 AND c.relname = 'transactions' ORDER BY a.attnum",
                    "SELECT c.oid, c.*, t.relname AS of_table FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class t ON t.oid = c.conrelid",
                    "SELECT i.*, c.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid",
                    "SELECT p.oid, p.proname FROM pg_catalog.pg_proc p LIMIT 10",
                    "SELECT r.* FROM pg_catalog.pg_roles r",
                    "SELECT s.name, s.setting FROM pg_catalog.pg_settings s",
                    "SELECT current_schema(), session_user, current_user, version(), current_setting('server_version_num')",
                    "SELECT string_agg(word, ',') FROM pg_catalog.pg_get_keywords() WHERE catcode <> 'U'",
                    "SHOW search_path")) {
                    try (ResultSet rows = ask(connection, sql)) {
                        while (rows.next()) for (int place = 1; place <= rows.getMetaData().getColumnCount(); place++) rows.getString(place);
                    } catch (SQLException error) {
                        throw new AssertionError(error.getMessage() + " IN " + sql);
                    }
                }
            }
        });

        checks.basic("cancels a running query; system.queries says so within 1 s", () -> {
            try (Connection connection = connect(); Statement statement = connection.createStatement()) {
                CompletableFuture<String> ended = CompletableFuture.supplyAsync(() -> {
                    try {
                        statement.executeQuery(Checks.slow("slow-pgjdbc-cancel"));
                        return "it ended by itself";
                    } catch (SQLException error) {
                        return error.getSQLState();
                    }
                });
                Checks.awaitState(Pgjdbc::connect, "slow-pgjdbc-cancel", "running", 10);
                statement.cancel();
                Checks.awaitState(Pgjdbc::connect, "slow-pgjdbc-cancel", "cancelled", 1);
                Checks.equal(ended.get(), "57014");
                Checks.equal(one(connection, "SELECT 'x' AS x"), "x");
            }
        });

        checks.that("its own time-out ends a query", () -> {
            try (Connection connection = connect(); Statement statement = connection.createStatement()) {
                statement.setQueryTimeout(1);
                try {
                    statement.executeQuery(Checks.slow("slow-pgjdbc-timeout"));
                    throw new AssertionError("it was not ended");
                } catch (SQLException error) {
                    Checks.equal(error.getSQLState(), "57014");
                }
                Checks.awaitState(Pgjdbc::connect, "slow-pgjdbc-timeout", "cancelled", 1);
            }
        });

        checks.end();
    }
}
