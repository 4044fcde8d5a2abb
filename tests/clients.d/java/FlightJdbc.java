import static java.util.Arrays.asList;

import java.math.BigDecimal;
import java.sql.*;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** Arrow's JDBC driver for Flight SQL: metadata, parameters, types, batches, cancel. */
final class FlightJdbc {
    static Connection connect() throws SQLException {
        return connect(System.getenv("PGPASSWORD"));
    }

    static Connection connect(String password) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("useEncryption", "" + Checks.SECURE);
        if (Checks.SECURE) {
            properties.setProperty("user", System.getenv("PGUSER"));
            properties.setProperty("password", password);
            properties.setProperty("tlsRootCerts", System.getenv("PGSSLROOTCERT"));
        }
        return DriverManager.getConnection("jdbc:arrow-flight-sql://" + System.getenv("WARDHOUSE_CLIENTS_FLIGHT") + "/", properties);
    }

    /** The driver leaves the parameters to the server, and those of this one are `$1`, `$2` …. */
    static Object one(Connection connection, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int place = 0; place < values.length; place++) statement.setObject(place + 1, values[place]);
            try (ResultSet rows = statement.executeQuery()) {
                Checks.holds(rows.next(), "no row");
                return rows.getObject(1);
            }
        }
    }

    // The driver (18.3) may throw as its connection closes after a cancel: a batch that was on its way still counts in its allocator. Everything else that closing says is a failure.
    static void closeAfterACancel(Connection connection) throws SQLException {
        try {
            connection.close();
        } catch (SQLException error) {
            if (!"Failed to clean up client resources.".equals(error.getMessage())) throw error;
            System.err.println("the driver's close after a cancel: " + error.getCause());
        }
    }

    public static void main(String[] arguments) {
        Checks checks = new Checks("JDBC Flight SQL", arguments);

        checks.basic("connects and runs a parameterised query", () -> {
            try (Connection connection = connect()) {
                Checks.equal(one(connection, "SELECT amount FROM ledger.transactions WHERE transaction_id = $1", "CLIENT-2"), new BigDecimal("0.01"));
                Checks.holds(!connection.getMetaData().getDatabaseProductName().isEmpty(), "no name");
            }
        });

        if (Checks.SECURE) {
            checks.basic("a wrong password is refused", () -> {
                try (Connection connection = connect("not-it")) {
                    one(connection, "SELECT 1");
                } catch (SQLException error) {
                    return;
                }
                throw new AssertionError("it was taken");
            });
        }

        checks.that("metadata: catalogs, schemas, tables, columns, keys", () -> {
            try (Connection connection = connect()) {
                DatabaseMetaData metadata = connection.getMetaData();
                Checks.equal(Checks.column(metadata.getCatalogs(), "TABLE_CAT").size(), 1);
                Checks.holds(Checks.column(metadata.getSchemas(), "TABLE_SCHEM").containsAll(List.of("ledger", "documents", "metrics", "baselines", "search", "system")), "schemas");
                Checks.holds(Checks.column(metadata.getTables(null, "ledger", "%", null), "TABLE_NAME").containsAll(List.of("transactions", "risk_alerts", "user_profiles")), "tables");
                Checks.holds(Checks.column(metadata.getTableTypes(), "TABLE_TYPE").contains("TABLE"), "types");
                List<String> columns = new ArrayList<>();
                try (ResultSet rows = metadata.getColumns(null, "ledger", "transactions", "%")) {
                    while (rows.next()) columns.add(rows.getString("COLUMN_NAME") + " " + rows.getInt("DATA_TYPE") + " " + rows.getString("IS_NULLABLE"));
                }
                Checks.equal(columns.size(), 24);
                Checks.equal(columns.get(0), "transaction_id " + Types.VARCHAR + " NO");
                Checks.equal(columns.get(7), "amount " + Types.DECIMAL + " NO");
                Checks.equal(columns.get(4), "counterparty_account " + Types.VARCHAR + " YES");
                for (ResultSet rows : List.of(metadata.getPrimaryKeys(null, "ledger", "transactions"), metadata.getImportedKeys(null, "ledger", "transactions"), metadata.getExportedKeys(null, "ledger", "transactions"))) {
                    while (rows.next()) rows.getObject(1);
                    rows.close();
                }
                Checks.holds(metadata.isReadOnly(), "it does not say that it only reads");
            }
        });

        checks.that("reads a row: NULL, money, instant, boolean, unicode", () -> {
            String sql = "SELECT \"timestamp\", user_id, counterparty_account, amount, description, is_anomaly, risk_score, seq FROM ledger.transactions WHERE transaction_id = 'CLIENT-1'";
            try (Connection connection = connect(); Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
                Checks.holds(rows.next(), "no row");
                // Not by getTimestamp: outside of UTC the driver (18.3) takes the offset of the machine's zone off twice.
                Checks.equal(rows.getObject(1, Instant.class).getEpochSecond(), Instant.parse("2026-10-20T12:34:56Z").getEpochSecond());
                Checks.equal(rows.getString(2), "USR-Zoë");
                Checks.equal(rows.getString(3), null);
                Checks.holds(rows.wasNull(), "wasNull");
                Checks.equal(rows.getBigDecimal(4), new BigDecimal("9999999999999.99"));
                Checks.equal(rows.getString(5), Checks.TEXT);
                Checks.equal(rows.getBoolean(6), false);
                Checks.holds(rows.getObject(7) instanceof Integer && rows.getObject(8) instanceof Long, "integers");
                Checks.holds(!rows.next(), "a second row");
            }
        });

        checks.that("reads every type and its NULL", () -> {
            String sql = "SELECT CAST(-32768 AS smallint), CAST(-2147483648 AS integer), CAST(9223372036854775807 AS bigint), CAST(1.5 AS real), CAST(-0.1 AS double precision),"
                + " CAST(-9999999999999.99 AS numeric(15,2)), true, false, 'Zürich – 東京 🏥', '', CAST('2026-02-28' AS date), CAST(NULL AS integer), CAST(NULL AS numeric(15,2)), CAST(NULL AS timestamptz), CAST(NULL AS boolean), CAST(NULL AS text)";
            try (Connection connection = connect(); Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
                rows.next();
                Checks.equal(asList(rows.getShort(1), rows.getInt(2), rows.getLong(3), rows.getFloat(4), rows.getDouble(5)), asList((short) -32768, -2147483648, 9223372036854775807L, 1.5f, -0.1));
                Checks.equal(rows.getBigDecimal(6), new BigDecimal("-9999999999999.99"));
                Checks.equal(asList(rows.getBoolean(7), rows.getBoolean(8), rows.getString(9), rows.getString(10)), asList(true, false, "Zürich – 東京 🏥", ""));
                Checks.equal(rows.getDate(11).toLocalDate().toString(), "2026-02-28");
                // The driver (18.3) says that a timestamptz is TIMESTAMP_WITH_TIMEZONE, and its getObject without a class has no case for that type ("not implemented"), whatever the value.
                for (int place = 12; place <= 16; place++) Checks.equal(place == 14 ? rows.getObject(place, Instant.class) : rows.getObject(place), null);
            }
        });

        checks.that("parameters of every type", () -> {
            try (Connection connection = connect()) {
                String count = "SELECT count(*) FROM ledger.transactions WHERE transaction_id LIKE 'CLIENT-%' AND ";
                Checks.equal(one(connection, count + "amount = $1", new BigDecimal("9999999999999.99")), 1L);
                Checks.equal(one(connection, count + "seq >= $1", 0L), 3L);
                Checks.equal(one(connection, count + "is_anomaly = $1", false), 3L);
                Checks.equal(one(connection, count + "description = $1", Checks.TEXT), 1L);
                Checks.equal(one(connection, "SELECT account_id FROM ledger.transactions WHERE user_id = $1", Checks.HOSTILE_NAME), "ACC-%_\\");
            }
        });

        checks.that("all rows", () -> {
            try (Connection connection = connect(); Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT * FROM ledger.transactions")) {
                int count = 0;
                while (rows.next()) count++;
                Checks.equal(count, Checks.ROWS);
            }
        });

        checks.that("errors are told, and the connection goes on", () -> {
            try (Connection connection = connect()) {
                for (String sql : List.of("SELECT no_such_column FROM ledger.transactions", "SELEC 1", "DELETE FROM ledger.transactions")) {
                    try (Statement statement = connection.createStatement()) {
                        statement.executeQuery(sql).next();
                    } catch (SQLException error) {
                        continue;
                    }
                    throw new AssertionError(sql + " was taken");
                }
                Checks.equal(one(connection, "SELECT 'x' AS x"), "x");
            }
        });

        // Before the first batch the driver has nothing that it could cancel but its own time-out.
        checks.basic("cancels while rows are coming; system.queries says so within 1 s", () -> {
            Connection connection = connect();
            try {
                Statement statement = connection.createStatement();
                CompletableFuture<Long> ended = new CompletableFuture<>();
                ResultSet rows = statement.executeQuery(Checks.longRows("rows-flight-jdbc-cancel"));
                Thread reader = new Thread(() -> {
                    long read = 0;
                    try {
                        while (rows.next()) read++;
                        ended.complete(-1L);
                    } catch (Exception error) {
                        ended.complete(read);
                    }
                });
                reader.setDaemon(true);
                reader.start();
                Checks.awaitState(FlightJdbc::connect, "rows-flight-jdbc-cancel", "running", 10);
                statement.cancel();
                Checks.awaitState(FlightJdbc::connect, "rows-flight-jdbc-cancel", "cancelled", 1);
                Checks.holds(ended.get(10, TimeUnit.SECONDS) > 0, "it ended by itself");
            } finally {
                closeAfterACancel(connection);
            }
        });

        // Past its time-out the driver (18.3) only stops waiting: what cancels the call is that its statement is closed. Closing the connection alone says nothing to the server.
        checks.that("its own time-out ends a query", () -> {
            try (Connection connection = connect()) {
                try (Statement statement = connection.createStatement()) {
                    statement.setQueryTimeout(1);
                    statement.executeQuery(Checks.slow("slow-flight-jdbc-timeout")).next();
                    throw new AssertionError("it was not ended");
                } catch (SQLException error) {
                    Checks.holds(("" + error.getMessage()).contains("timed out"), "it ended otherwise: " + error);
                }
                Checks.awaitState(FlightJdbc::connect, "slow-flight-jdbc-timeout", "cancelled", 2);
            }
        });

        checks.end();
    }
}
