// node-postgres: parameters, named prepared statements, types, a pool, pg-cursor, pg-query-stream, cancel.
// What must stay true: one line a check, and each with connections of its own. Where and who stands in libpq's variables.
import fs from "node:fs";
import assert from "node:assert/strict";
import pg from "pg";
import Cursor from "pg-cursor";
import QueryStream from "pg-query-stream";

const basics = process.argv.includes("basics");
const ROWS = 20003;
const TEXT = 'Zürich – 東京 🏥 "quoted" \\ back, comma; it\'s\nline two\ttab';
const TABLES = ["transactions", "risk_alerts", "user_profiles"];
let failed = false;

// Of libpq's variables for encryption pg reads the mode alone.
const secure = (process.env.PGSSLMODE ?? "disable") !== "disable";
const settings = secure ? { ssl: { ca: fs.readFileSync(process.env.PGSSLROOTCERT, "utf8") } } : {};

async function connected(work) {
  const client = new pg.Client(settings);
  // A connection that breaks is the failure of what runs on it.
  client.on("error", () => {});
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function that(what, work, basic = false) {
  if (basics && !basic) return;
  try {
    let alarm;
    const late = new Promise((_, reject) => (alarm = setTimeout(() => reject(new Error("it did not end within 60 s")), 60000)));
    await Promise.race([work(), late]).finally(() => clearTimeout(alarm));
    console.log(`ok: node pg: ${what}`);
  } catch (error) {
    failed = true;
    console.log(`FAILED: node pg: ${what} (${String(error.stack ?? error).replace(/\s+/g, " ").slice(0, 600)})`);
  }
}

const slow = (name) =>
  "SELECT count(*) FROM ledger.transactions a CROSS JOIN ledger.transactions b " +
  `WHERE regexp_replace(a.content_hash || b.content_hash, '[a-f]+', 'x', 'g') = '${name}'`;

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function state(name, wanted, seconds) {
  await connected(async (client) => {
    const begun = Date.now();
    for (;;) {
      const { rows } = await client.query(`SELECT state FROM system.queries WHERE sql LIKE '%${name}%' AND sql NOT LIKE '%system.queries%'`);
      const found = [...new Set(rows.map((row) => row.state.toLowerCase()))];
      if (found.length === 1 && found[0] === wanted) break;
      assert(Date.now() - begun < seconds * 1000, `system.queries says ${found} instead of ${wanted} after ${seconds} s`);
      await pause(50);
    }
  });
  // A protocol may still be between two of its messages when a query first shows.
  if (wanted === "running") await pause(300);
}

await that("connects and runs a parameterised query", async () => {
  await connected(async (client) => {
    const { rows } = await client.query("SELECT transaction_id, amount FROM ledger.transactions WHERE transaction_id = $1", ["CLIENT-2"]);
    assert.deepEqual(rows, [{ transaction_id: "CLIENT-2", amount: "0.01" }]);
  });
}, true);

await that("lists tables", async () => {
  await connected(async (client) => {
    const { rows } = await client.query("SELECT table_name FROM information_schema.tables WHERE table_schema = $1", ["ledger"]);
    const found = rows.map((row) => row.table_name);
    for (const table of TABLES) assert(found.includes(table), `${table} is not in ${found}`);
  });
});

await that("reads a row: NULL, money, instant, boolean, unicode", async () => {
  await connected(async (client) => {
    const { rows, fields } = await client.query(
      'SELECT "timestamp", user_id, counterparty_account, amount, description, is_anomaly, risk_score, seq, metadata FROM ledger.transactions WHERE transaction_id = $1',
      ["CLIENT-1"],
    );
    const row = rows[0];
    assert.equal(row.timestamp.toISOString(), "2026-10-20T12:34:56.789Z");
    assert.equal(row.user_id, "USR-Zoë");
    assert.equal(row.counterparty_account, null);
    assert.equal(row.amount, "9999999999999.99");
    assert.equal(row.description, TEXT);
    assert.equal(row.is_anomaly, false);
    assert.equal(typeof row.risk_score, "number");
    assert.equal(typeof row.seq, "string");
    const metadata = typeof row.metadata === "string" ? JSON.parse(row.metadata) : row.metadata;
    assert.equal(metadata.nested.a[2].b, "ü");
    assert.deepEqual(fields.slice(0, 7).map((field) => field.dataTypeID), [1184, 25, 25, 1700, 25, 16, 23]);
  });
});

await that("reads every type and its NULL", async () => {
  await connected(async (client) => {
    const { rows } = await client.query({
      rowMode: "array",
      text: `SELECT CAST(-32768 AS smallint), CAST(-2147483648 AS integer), CAST(9223372036854775807 AS bigint), CAST(1.5 AS real), CAST(-0.1 AS double precision),
        CAST('NaN' AS double precision), CAST(-9999999999999.99 AS numeric(15,2)), true, false, 'Zürich – 東京 🏥', '', CAST('2026-02-28T12:34:56.789Z' AS timestamptz),
        ARRAY['a', NULL, '"ü,'], CAST(NULL AS integer), CAST(NULL AS numeric(15,2)), CAST(NULL AS timestamptz), CAST(NULL AS boolean), CAST(NULL AS text)`,
    });
    const row = rows[0];
    row[11] = row[11].toISOString();
    assert.deepEqual(row, [
      -32768, -2147483648, "9223372036854775807", 1.5, -0.1, NaN, "-9999999999999.99", true, false, "Zürich – 東京 🏥", "", "2026-02-28T12:34:56.789Z",
      ["a", null, '"ü,'], null, null, null, null, null,
    ]);
  });
});

await that("parameters of every type", async () => {
  await connected(async (client) => {
    const count = async (condition, value) => (await client.query(`SELECT transaction_id FROM ledger.transactions WHERE transaction_id LIKE 'CLIENT-%' AND ${condition}`, [value])).rowCount;
    assert.equal(await count('"timestamp" >= $1', new Date("2026-10-20T12:34:57Z")), 2);
    assert.equal(await count("amount = $1", "9999999999999.99"), 1);
    assert.equal(await count("amount <= $1", 10), 2);
    assert.equal(await count("is_anomaly = $1", false), 3);
    assert.equal(await count("description = $1", TEXT), 1);
    assert.equal(await count("counterparty_account = $1", null), 0);
    assert.equal(await count("transaction_id = ANY($1)", ["CLIENT-1", "CLIENT-3"]), 2);
    const { rows } = await client.query("SELECT account_id FROM ledger.transactions WHERE user_id = $1", ["O'Brien; DROP TABLE transactions;--"]);
    assert.deepEqual(rows, [{ account_id: "ACC-%_\\" }]);
  });
});

await that("a named prepared statement, many times", async () => {
  await connected(async (client) => {
    for (let round = 0; round < 10; round++) {
      const id = `CLIENT-${(round % 3) + 1}`;
      const { rows } = await client.query({ name: "by id", text: "SELECT transaction_id FROM ledger.transactions WHERE transaction_id = $1", values: [id] });
      assert.equal(rows[0].transaction_id, id);
    }
  });
});

await that("several statements in one message", async () => {
  await connected(async (client) => {
    const results = await client.query("SELECT 1 AS a; SELECT 'x;y' AS b");
    assert.equal(results.length, 2);
    assert.deepEqual(results[1].rows, [{ b: "x;y" }]);
    assert.equal(Number(results[0].rows[0].a), 1);
  });
});

await that("pg-cursor reads in pieces, and closes early", async () => {
  await connected(async (client) => {
    const cursor = client.query(new Cursor("SELECT transaction_id FROM ledger.transactions WHERE amount > $1 ORDER BY transaction_id", [0]));
    assert.equal((await cursor.read(100)).length, 100);
    assert.equal((await cursor.read(1000)).length, 1000);
    await cursor.close();
    assert.equal((await client.query("SELECT 1 AS one")).rowCount, 1);
    const whole = client.query(new Cursor("SELECT transaction_id FROM ledger.transactions"));
    let rows = 0;
    for (let part; (part = await whole.read(3000)).length > 0; ) rows += part.length;
    assert.equal(rows, ROWS);
  });
});

await that("pg-query-stream streams all rows", async () => {
  await connected(async (client) => {
    let rows = 0;
    for await (const row of client.query(new QueryStream("SELECT * FROM ledger.transactions WHERE amount > $1", [0], { batchSize: 500 }))) rows += row.transaction_id ? 1 : 0;
    assert.equal(rows, ROWS);
  });
});

await that("a pool asks side by side, and survives errors", async () => {
  const pool = new pg.Pool({ ...settings, max: 4 });
  const answers = await Promise.allSettled(
    Array.from({ length: 24 }, (_, place) => (place % 6 === 5 ? pool.query("SELECT no_such_column FROM ledger.transactions") : pool.query("SELECT $1::text AS place", [`${place}`]))),
  );
  answers.forEach((answer, place) => {
    if (place % 6 === 5) assert.equal(answer.reason.code, "42703");
    else assert.equal(answer.value.rows[0].place, `${place}`);
  });
  await pool.end();
});

await that("cancels a running query; system.queries says so within 1 s", async () => {
  await connected(async (client) => {
    const query = new pg.Query(slow("slow-node-cancel"));
    const ended = new Promise((resolve) => {
      query.on("error", (error) => resolve(error.code));
      query.on("end", () => resolve("it ended by itself"));
    });
    client.query(query);
    await state("slow-node-cancel", "running", 10);
    const other = new pg.Client(settings);
    other.connection?.on?.("error", () => {});
    other.cancel(client, query);
    await state("slow-node-cancel", "cancelled", 1);
    assert.equal(await ended, "57014");
    assert.equal((await client.query("SELECT 1 AS one")).rowCount, 1);
  });
}, !secure);

await that("statement_timeout of the connection ends a query", async () => {
  const client = new pg.Client({ ...settings, statement_timeout: 400 });
  await client.connect();
  await assert.rejects(client.query(slow("slow-node-timeout")), { code: "57014" });
  assert.equal((await client.query("SELECT 1 AS one")).rowCount, 1);
  await client.end();
});

process.exit(failed ? 1 : 0);
