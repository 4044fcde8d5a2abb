import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * What the checks of the JDBC drivers share: one line a check, expected values, the wait for a cancelled query.
 *
 * <p>What must stay true: a check that throws is one that failed, and the next goes on.
 */
final class Checks {
    static final int ROWS = 20_003;
    static final String TEXT = "Zürich – 東京 🏥 \"quoted\" \\ back, comma; it's\nline two\ttab";
    static final String HOSTILE_NAME = "O'Brien; DROP TABLE transactions;--";
    static final boolean REFERENCE = System.getenv("WARDHOUSE_CLIENTS_REFERENCE") != null;
    static final boolean SECURE = !System.getenv().getOrDefault("PGSSLMODE", "disable").equals("disable");

    /** Lines of these are told. */
    private static final List<String> FILES = List.of("Pgjdbc.java", "FlightJdbc.java");

    private final String client;
    private final boolean basics;
    private boolean failed;

    Checks(String client, String[] arguments) {
        this.client = client;
        this.basics = List.of(arguments).contains("basics");
    }

    interface Check {
        void run() throws Exception;
    }

    void that(String what, Check check) {
        if (!basics) basic(what, check);
    }

    /** One that runs in any case. */
    void basic(String what, Check check) {
        CompletableFuture<Throwable> ended = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try {
                check.run();
                ended.complete(null);
            } catch (Throwable error) {
                ended.complete(error);
            }
        });
        thread.setDaemon(true);
        thread.start();
        Throwable error;
        try {
            error = ended.get(60, TimeUnit.SECONDS);
        } catch (Exception late) {
            error = new AssertionError("it did not end within 60 s");
        }
        if (error == null) {
            System.out.println("ok: " + client + ": " + what);
            return;
        }
        failed = true;
        String line = "?";
        for (StackTraceElement place : error.getStackTrace()) {
            if (FILES.contains(String.valueOf(place.getFileName()))) {
                line = "" + place.getLineNumber();
                break;
            }
        }
        StringBuilder told = new StringBuilder();
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            told.append(cause == error ? "" : "; by ").append(cause.getClass().getSimpleName()).append(": ").append(cause.getMessage());
        }
        String said = told.toString().replaceAll("\\s+", " ");
        System.out.println("FAILED: " + client + ": " + what + " (line " + line + ": " + said.substring(0, Math.min(600, said.length())) + ")");
    }

    void end() {
        System.out.flush();
        // Threads of a driver must not hold up the end.
        Runtime.getRuntime().halt(failed ? 1 : 0);
    }

    static void equal(Object found, Object expected) {
        if (expected == null ? found != null : !expected.equals(found)) {
            throw new AssertionError("`" + found + "` instead of `" + expected + "`");
        }
    }

    static void holds(boolean condition, String otherwise) {
        if (!condition) throw new AssertionError(otherwise);
    }

    /** Takes minutes, holds little memory, and can be told by its name. */
    static String slow(String name) {
        return "SELECT count(*) FROM ledger.transactions a CROSS JOIN ledger.transactions b WHERE regexp_replace(a.content_hash || b.content_hash, '[a-f]+', 'x', 'g') = '" + name + "'";
    }

    /** Has hundreds of millions of rows. */
    static String longRows(String name) {
        return "SELECT a.transaction_id, b.transaction_id AS other, '" + name + "' AS name FROM ledger.transactions a CROSS JOIN ledger.transactions b";
    }

    /** One column of all rows. */
    static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> values = new ArrayList<>();
        try (rows) {
            while (rows.next()) values.add(rows.getString(name));
        }
        return values;
    }

    static void awaitState(Callable<Connection> connect, String name, String wanted, double seconds) throws Exception {
        try (Connection connection = connect.call(); Statement statement = connection.createStatement()) {
            long begun = System.nanoTime();
            while (true) {
                TreeSet<String> found = new TreeSet<>();
                try (ResultSet rows = statement.executeQuery("SELECT state FROM system.queries WHERE sql LIKE '%" + name + "%' AND sql NOT LIKE '%system.queries%'")) {
                    while (rows.next()) found.add(rows.getString(1).toLowerCase());
                }
                if (found.size() == 1 && found.first().equals(wanted)) {
                    // A protocol may still be between two of its messages when a query first shows.
                    if (wanted.equals("running")) Thread.sleep(300);
                    return;
                }
                holds(System.nanoTime() - begun < seconds * 1e9, "system.queries says " + found + " instead of " + wanted + " after " + seconds + " s");
                Thread.sleep(50);
            }
        }
    }
}
