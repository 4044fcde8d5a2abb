//! Lines of CSV that are not as they should be: each costs itself alone, and is told with its line, its class and its text.

use serde_json::Value;
use tokio_util::sync::CancellationToken;
use wh_ingest::import::{Format, ImportSettings, Input, import};

use super::drained;
use super::outcome::adds_up;
use crate::pipeline::{Pipeline, STAGES};

const COLUMNS: [&str; 11] =
    ["transaction_id", "timestamp", "user_id", "account_id", "department", "transaction_type", "amount", "description", "metadata", "metadata.shift", "note"];

/// What a cell is put into, in the order of the table's columns.
const INTO: [&str; 7] = ["user_id", "timestamp", "amount", "transaction_type", "description", "metadata", "metadata.shift"];

/// Name, the cell as it stands in the file, and what becomes of the row by the column that it stands in.
const CELLS: &[(&str, &str, [&str; 7])] = &[
    ("nothing", "", ["missing", "missing", "missing", "missing", "ok", "ok", "ok"]),
    ("a blank", " ", ["missing", "missing", "missing", "missing", "ok", "ok", "ok"]),
    ("a no-break space", "\u{a0}", ["missing", "missing", "missing", "missing", "ok", "ok", "ok"]),
    ("nothing in quotes", r#""""#, ["missing", "missing", "missing", "missing", "ok", "ok", "ok"]),
    ("a word", "abc", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a number", "7", ["ok", "invalid_timestamp", "ok", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a number with blanks", " 7.50 ", ["ok", "invalid_timestamp", "ok", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a leading zero", "01", ["ok", "invalid_timestamp", "ok", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a negative number", "-7", ["ok", "invalid_timestamp", "not_positive", "unknown_type", "ok", "wrong_type", "ok"]),
    ("negative zero", "-0.00", ["ok", "invalid_timestamp", "not_positive", "unknown_type", "ok", "wrong_type", "ok"]),
    ("three places", "1.005", ["ok", "invalid_timestamp", "too_many_places", "unknown_type", "ok", "wrong_type", "ok"]),
    ("an exponent", "1e400", ["ok", "invalid_timestamp", "too_large", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a decimal comma in quotes", r#""1,5""#, ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("NaN", "NaN", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("null", "null", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a word for nothing", "N/A", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a formula", "=1+1", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a date alone", "2026-03-01", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a date of another country", "01.03.2026 08:30", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("an object", r#""{""a"":1}""#, ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "ok", "ok"]),
    ("an object without quotes around it", r#"{"a":1}"#, ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "ok", "ok"]),
    ("an object that does not end", r#""{""a"":1""#, ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("an object with a key twice", r#""{""a"":1,""a"":2}""#, ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "duplicate_key", "ok"]),
    ("an object with another column's key", r#""{""shift"":1}""#, ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "duplicate_key", "ok"]),
    ("an array", "[1]", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("quotes within quotes", r#""say ""hi""""#, ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a quote inside", r#"5" pipe"#, ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("text behind a closing quote", r#""a"b"#, ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a line end in quotes", "\"a\nb\"", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a carriage return", "a\rb", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a control character", "a\u{1}b", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("U+0000", "a\0b", ["nul_character", "nul_character", "nul_character", "nul_character", "nul_character", "wrong_type", "metadata:nul_character"]),
    ("a byte order mark", "\u{feff}x", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("a backslash", r"C:\x", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("another delimiter", "a;b", ["ok", "invalid_timestamp", "not_a_number", "unknown_type", "ok", "wrong_type", "ok"]),
    ("one comma too many", "a,b", ["record:ragged_row"; 7]),
];

/// Name, the whole line, and what becomes of it.
const LINES: &[(&str, &str, &str)] = &[
    ("one cell", "T1", "record:ragged_row"),
    ("commas too few", ",,,,,", "record:ragged_row"),
    ("commas too many", ",,,,,,,,,,,,,,,", "record:ragged_row"),
    ("commas alone", ",,,,,,,,,,", "account_id:missing,amount:missing,department:missing,timestamp:missing,transaction_id:missing,transaction_type:missing,user_id:missing"),
    ("words", "and now for something else", "record:ragged_row"),
    ("JSON", r#"{"transaction_id":"T1","amount":5}"#, "record:ragged_row"),
    ("a comment", "# a comment", "record:ragged_row"),
    ("semicolons for commas", "T1;2026-03-01T08:30:00Z;U1;A1;IT;billing;5;;;;", "record:ragged_row"),
    ("tabs for commas", "T1\t2026-03-01T08:30:00Z\tU1\tA1\tIT\tbilling\t5\t\t\t\t", "record:ragged_row"),
    ("quotes around the line", r#""T1,2026-03-01T08:30:00Z,U1,A1,IT,billing,5,,,,""#, "record:ragged_row"),
    ("a total", "Total,,,,,,12345.67,,,", "record:ragged_row"),
    (
        "the header again",
        "transaction_id,timestamp,user_id,account_id,department,transaction_type,amount,description,metadata,metadata.shift,note",
        "amount:not_a_number,metadata:wrong_type,timestamp:invalid_timestamp,transaction_type:unknown_type",
    ),
];

fn row(number: usize) -> [String; 11] {
    let cells = [
        format!("csv {number}"),
        "2026-01-05T10:15:00Z".to_owned(),
        format!("csv user {}", number % 9),
        "A-1".to_owned(),
        "IT".to_owned(),
        "billing".to_owned(),
        "12.50".to_owned(),
        "plain".to_owned(),
    ];
    let mut row = <[String; 11]>::default();
    for (cell, value) in row.iter_mut().zip(cells) {
        *cell = value;
    }
    row[9] = "night".to_owned();
    row
}

/// A file, with what must be told of its lines.
#[derive(Default)]
struct File {
    content: Vec<u8>,
    lines: u64,
    rows: usize,
    accepted: u64,
    /// Line, class and text of each row that must be rejected.
    rejected: Vec<(u64, String, Vec<u8>)>,
}

impl File {
    fn add(&mut self, row: &[u8], class: Option<String>, end: &str) {
        let line = self.lines + 1;
        self.content.extend_from_slice(row);
        self.content.extend_from_slice(end.as_bytes());
        self.lines += 1 + row.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.rows += 1;
        match class {
            Some(class) => self.rejected.push((line, class, row.to_vec())),
            None => self.accepted += 1,
        }
    }

    fn good(&mut self) {
        let row = row(self.rows).join(",");
        self.add(row.as_bytes(), None, "\n");
    }
}

fn file() -> File {
    let mut file = File::default();
    file.content.extend_from_slice("\u{feff}".as_bytes());
    file.content.extend_from_slice(format!("{}\r\n", COLUMNS.join(",")).as_bytes());
    file.lines = 1;
    for (_, cell, said) in CELLS {
        for (column, said) in INTO.iter().zip(said) {
            let mut cells = row(file.rows);
            let at = COLUMNS.iter().position(|name| name == column).unwrap();
            (*cell).clone_into(&mut cells[at]);
            // What is beside the object goes into it.
            let field = column.strip_suffix(".shift").unwrap_or(column);
            let class = match *said {
                "ok" => None,
                class if class.contains(':') => Some(class.to_owned()),
                code => Some(format!("{field}:{code}")),
            };
            let end = if file.rows.is_multiple_of(2) { "\n" } else { "\r\n" };
            file.add(cells.join(",").as_bytes(), class, end);
        }
        file.good();
    }
    for (_, line, class) in LINES {
        file.add(line.as_bytes(), Some((*class).to_owned()), "\n");
        file.good();
    }
    for bytes in [&b"\xe9"[..], b"\xff\xfe", b"\xc3", b"\xed\xa0\x80"] {
        let row = row(file.rows).join(",").into_bytes();
        file.add(&[&row[..], bytes].concat(), Some("record:invalid_utf8".to_owned()), "\n");
    }
    let mut large = row(file.rows);
    large[7] = "x".repeat(300_000);
    file.add(large.join(",").as_bytes(), Some("record:record_too_large".to_owned()), "\n");
    file.good();
    // Of a quote that is never closed the line alone is lost; blank lines are no rows.
    let mut open = row(file.rows);
    open[7] = "\"never closed".to_owned();
    file.add(open.join(",").as_bytes(), Some("record:open_quote".to_owned()), "\n");
    file.content.extend_from_slice(b"\n  \t\r\n");
    file.lines += 2;
    file.good();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_csv_becomes_what_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let mut pipeline = Pipeline::open(folder.path()).await;
    let (path, rejects) = (folder.path().join("in.csv"), folder.path().join("rejects.ndjson"));
    let file = file();
    std::fs::write(&path, &file.content).unwrap();
    let settings = ImportSettings { format: Format::Csv, rejects: Some(rejects.clone()), ..ImportSettings::new(Input::Path(path)) };
    let progress = import(&*pipeline.log, &settings, &mut |_| {}, CancellationToken::new()).await.unwrap();
    let told: Vec<(u64, String, Vec<u8>)> = std::fs::read_to_string(&rejects).unwrap().lines().map(told).collect();
    for (found, wanted) in told.iter().zip(&file.rejected) {
        assert_eq!((found.0, &found.1, String::from_utf8_lossy(&found.2)), (wanted.0, &wanted.1, String::from_utf8_lossy(&wanted.2)));
        assert_eq!(found.2, wanted.2, "the original bytes");
    }
    assert_eq!((progress.lines, progress.accepted, progress.rejected), (file.lines, file.accepted, file.rejected.len() as u64));
    assert_eq!(told.len(), file.rejected.len());
    pipeline.start_all(&STAGES);
    let status = drained(&mut pipeline, folder.path()).await;
    pipeline.stop().await;
    adds_up(&status, usize::try_from(file.accepted).unwrap(), 0);
    assert_eq!(status.letters.written, 0, "what was imported was valid");
}

/// Line, class and text of an entry of the file of rejected rows.
fn told(entry: &str) -> (u64, String, Vec<u8>) {
    let entry: Value = serde_json::from_str(entry).unwrap();
    let text = |name: &str| entry[name].as_str().map(str::to_owned);
    let bytes = |digits: String| digits.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect::<Vec<u8>>();
    let raw = text("raw_hex").map_or_else(|| text("raw").unwrap().into_bytes(), bytes);
    (entry["line"].as_u64().unwrap(), text("class").unwrap(), raw)
}
