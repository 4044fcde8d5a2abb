//! A SQLite file as text: its statements and its rows. What SQLite itself makes of them is SQLite's to keep readable; a page of it says nothing
//! to a person, and two runs do not give the same.
//!
//! What must stay true: loaded again, the file holds the same tables and rows; comments and blanks of a statement do not count.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

/// A statement without comments, on one line.
fn plain(statement: &str) -> String {
    let code = statement.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code));
    code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

fn texts(connection: &Connection, query: &str) -> Vec<String> {
    let mut statement = connection.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// What a file holds, once `masks` has put fixed values where a clock had a part in it.
pub(super) fn dump(path: &Path, masks: &str) -> Vec<u8> {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    connection.execute_batch(masks).unwrap();
    let mut text = String::new();
    for statement in texts(&connection, "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY rowid") {
        writeln!(text, "{};", plain(&statement)).unwrap();
    }
    for table in texts(&connection, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY rowid") {
        // Columns that are computed are not among them.
        let columns = texts(&connection, &format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"));
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
        for row in texts(&connection, &format!("SELECT {} FROM \"{table}\" ORDER BY 1", quoted.join(" || ', ' || "))) {
            writeln!(text, "INSERT INTO {table} ({}) VALUES ({row});", columns.join(", ")).unwrap();
        }
    }
    text.into_bytes()
}

/// Makes a file of what was dumped.
pub(super) fn load(dumped: &[u8], path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(std::str::from_utf8(dumped).unwrap()).unwrap();
}
