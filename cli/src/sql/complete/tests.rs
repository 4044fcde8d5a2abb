use wh_query::ColumnInfo;

use super::*;

fn table(schema: &str, name: &str, columns: &[&str]) -> TableInfo {
    let column = |name: &&str| ColumnInfo { name: (*name).to_owned(), data_type: "text".to_owned(), nullable: true };
    TableInfo { schema: schema.to_owned(), name: name.to_owned(), description: String::new(), columns: columns.iter().map(column).collect(), is_view: false, unique: Vec::new() }
}

fn catalog() -> Vec<TableInfo> {
    vec![
        table("ledger", "transactions", &["transaction_id", "timestamp", "user_id", "amount"]),
        table("ledger", "risk_alerts", &["alert_id", "severity"]),
        table("search", "alerts", &["alert_id", "message"]),
        table("system", "stores", &["Store Name", "seq"]),
    ]
}

/// The offers where `|` stands in the text.
fn offered(text: &str) -> Vec<String> {
    let cursor = text.find('|').unwrap();
    candidates(&text.replace('|', ""), cursor, &catalog()).1
}

#[test]
fn keywords_come_in_the_case_that_is_typed() {
    assert_eq!(offered("SEL|"), ["SELECT"]);
    assert_eq!(offered("sel|"), ["select"]);
    assert_eq!(offered("SELECT * FROM transactions ord|"), ["order by"]);
}

#[test]
fn tables_follow_from_and_join_and_the_commas_of_from() {
    assert_eq!(offered("SELECT * FROM tra|"), ["transactions"]);
    assert_eq!(offered("SELECT * FROM risk_alerts a JOIN tra|"), ["transactions"]);
    assert_eq!(offered("SELECT * FROM risk_alerts a, tra|"), ["transactions"]);
    assert_eq!(offered("SELECT * FROM |"), ["transactions", "risk_alerts", "ledger.", "search.", "system."]);
}

#[test]
fn a_table_of_another_schema_comes_with_its_schema() {
    assert_eq!(offered("SELECT * FROM ale|"), ["search.alerts"]);
    assert_eq!(offered("SELECT * FROM sea|"), ["search."]);
    assert_eq!(offered("SELECT * FROM search.|"), ["alerts"]);
    assert_eq!(offered("SELECT * FROM search.a|"), ["alerts"]);
}

#[test]
fn columns_are_those_of_the_tables_that_the_statement_names() {
    assert_eq!(offered("SELECT am| FROM transactions"), ["amount"]);
    assert_eq!(offered("SELECT alert_i| FROM transactions"), Vec::<String>::new());
    assert_eq!(offered("SELECT * FROM search.alerts WHERE mess|"), ["message"]);
    assert_eq!(offered("SELECT |, 1 FROM risk_alerts"), ["alert_id", "severity", "risk_alerts"]);
}

#[test]
fn a_column_that_two_tables_share_is_offered_once() {
    assert_eq!(offered("SELECT alert_i| FROM risk_alerts, search.alerts"), ["alert_id"]);
}

#[test]
fn an_alias_stands_for_its_table() {
    assert_eq!(offered("SELECT t.us| FROM transactions AS t"), ["user_id"]);
    assert_eq!(offered("SELECT * FROM transactions t JOIN risk_alerts a ON a.|"), ["alert_id", "severity"]);
    assert_eq!(offered("SELECT * FROM ledger.transactions WHERE transactions.am|"), ["amount"]);
    assert_eq!(offered("SELECT search.alerts.m|"), ["message"]);
}

#[test]
fn a_name_that_needs_quotes_has_them() {
    assert_eq!(offered("SELECT st| FROM system.stores"), ["\"Store Name\"", "stores", "system.stores"]);
    assert_eq!(typed("a\"b"), "\"a\"\"b\"");
}

#[test]
fn nothing_is_offered_inside_strings_comments_and_numbers() {
    assert!(offered("SELECT 'tra|").is_empty());
    assert!(offered("SELECT 'tra|' FROM transactions").is_empty());
    assert!(offered("SELECT 1 -- tra|").is_empty());
    assert!(offered("SELECT /* tra| */ 1").is_empty());
    assert!(offered("SELECT 1|").is_empty());
    assert_eq!(offered("SELECT 'a' FROM tra|"), ["transactions"]);
}

#[test]
fn only_the_statement_at_the_cursor_counts() {
    assert!(offered("SELECT * FROM transactions; SELECT amou|").is_empty());
    assert_eq!(offered("SELECT amou|\nFROM transactions; SELECT 1"), ["amount"]);
}

#[test]
fn the_word_is_replaced_from_its_start() {
    let text = "SELECT größe, t.am";
    let (start, _) = candidates(text, text.len(), &catalog());
    assert_eq!(&text[start..], "am");
    assert_eq!(candidates("SELECT é", 8, &catalog()), (8, Vec::new()));
}

#[test]
fn commands_and_their_arguments_are_offered() {
    assert_eq!(offered("\\d|"), ["\\d", "\\dt"]);
    assert_eq!(offered("\\d tra|"), ["transactions"]);
    assert_eq!(offered("\\d search.|"), ["alerts"]);
    assert_eq!(offered("\\format |"), ["table", "csv", "json", "ndjson"]);
    assert_eq!(offered("\\timing o|"), ["on", "off"]);
}

#[test]
fn settings_follow_set_show_and_reset() {
    assert_eq!(offered("SET war|"), ["wardhouse.read", "wardhouse.unavailable", "wardhouse.cache", "wardhouse.pushdown"]);
    assert_eq!(offered("SET Wardhouse.re|"), ["read"]);
    assert_eq!(offered("show time|"), ["TimeZone"]);
    assert_eq!(offered("RESET statement|"), ["statement_timeout"]);
    assert_eq!(offered("SET wardhouse.|").len(), 4);
}

#[test]
fn every_setting_that_there_is_can_be_completed() {
    // Asked while running: clones that share a target folder share the compiled test.
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let reference = std::fs::read_to_string(format!("{here}/../docs/sql-reference.md")).unwrap();
    let settings = reference.split("## Settings").nth(1).unwrap();
    let names: Vec<&str> = settings.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        assert!(SETTINGS.split(',').any(|offered| offered == name), "{name} is not offered");
    }
}
