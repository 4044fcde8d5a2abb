//! The shell's backslash commands: what a line asks for, and the listings of the catalog.
//!
//! What must stay true: pure, apart from writing to what it is given; a command is never guessed at (an unknown one names
//! the help); listings look like any other table.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use wh_query::TableInfo;

use super::Format;
use super::table::{Column, Look, Table};

/// The commands by name, for completion.
pub(super) const NAMES: [&str; 7] = ["\\d", "\\dt", "\\timing", "\\format", "\\o", "\\?", "\\q"];

/// What `\?` says.
pub(super) const HELP: &str = "\
SQL ends with a semicolon and may take several lines; Tab completes names.
  \\d            list the tables, by schema
  \\d NAME       describe a table, or list the tables of a schema
  \\dt           list the tables
  \\timing       show how long results take, or stop showing it
  \\format NAME  table, csv, json or ndjson
  \\o FILE       write the results that follow to FILE; \\o alone: back to the screen
  \\?, \\h        this help
  \\q            quit, as do exit, quit and Ctrl-D
Ctrl-C clears the line, or cancels the query that is running.";

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// List tables, or describe one.
    Describe(Option<&'a str>),
    /// Switch timing, or turn it over.
    Timing(Option<bool>),
    /// Use a format.
    Format(Format),
    /// Say which format is used.
    ShowFormat,
    /// Write to a file, or to the screen again.
    Output(Option<PathBuf>),
    /// Say what there is.
    Help,
    /// Leave.
    Quit,
}

/// Reads a line that begins with a backslash, or `exit` and `quit`; `None` if the line is SQL.
///
/// # Errors
/// What is wrong with the command, as a sentence.
pub(super) fn parse(line: &str) -> Result<Option<Command<'_>>, String> {
    let line = line.trim();
    let Some(command) = line.strip_prefix('\\') else {
        let word = line.trim_end_matches(';').trim_end();
        let leaves = word.eq_ignore_ascii_case("exit") || word.eq_ignore_ascii_case("quit");
        return Ok(leaves.then_some(Command::Quit));
    };
    let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let whole = rest.trim();
    let rest = whole.trim_end_matches(';').trim_end();
    let argument = (!rest.is_empty()).then_some(rest);
    let read = match name.trim_end_matches(';') {
        "d" | "dt" => Command::Describe(argument),
        "timing" => Command::Timing(switch(argument)?),
        "format" => argument.map_or(Ok(Command::ShowFormat), format)?,
        // A file's name may end in a semicolon.
        "o" => Command::Output((!whole.is_empty()).then(|| PathBuf::from(whole))),
        "?" | "h" | "help" => Command::Help,
        "q" => Command::Quit,
        _ => return Err(format!("there is no command \\{name}; \\? lists them")),
    };
    Ok(Some(read))
}

fn switch(argument: Option<&str>) -> Result<Option<bool>, String> {
    match argument {
        None => Ok(None),
        Some("on") => Ok(Some(true)),
        Some("off") => Ok(Some(false)),
        Some(other) => Err(format!("\\timing is on or off, not {other}")),
    }
}

fn format(name: &str) -> Result<Command<'static>, String> {
    match Format::from_str(name, true) {
        Ok(Format::Parquet) => Err("a Parquet result is one file for one statement: use wardhouse sql --format parquet --output FILE".to_owned()),
        Ok(format) => Ok(Command::Format(format)),
        Err(_) => Err(format!("there is no format {name}; the formats here are {}", format_names().join(", "))),
    }
}

/// The formats that the shell can write, by name.
pub(super) fn format_names() -> Vec<String> {
    let formats = Format::value_variants().iter().filter(|format| **format != Format::Parquet);
    formats.map(|format| format_name(*format)).collect()
}

/// A format's name as it is typed.
pub(super) fn format_name(format: Format) -> String {
    format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Writes the listing or the description that `\d` asks for.
///
/// # Errors
/// Whatever writing to `out` gives; `Ok(false)` if there is nothing of that name.
pub(super) fn describe(tables: &[TableInfo], name: Option<&str>, look: Look, out: &mut impl Write) -> io::Result<bool> {
    let Some(name) = name else {
        list(&tables.iter().collect::<Vec<_>>(), look, out)?;
        return Ok(true);
    };
    let name = name.replace('"', "");
    let of_schema: Vec<&TableInfo> = tables.iter().filter(|table| table.schema.eq_ignore_ascii_case(&name)).collect();
    if !of_schema.is_empty() {
        list(&of_schema, look, out)?;
        return Ok(true);
    }
    let mut found = false;
    for table in tables.iter().filter(|table| named(table, &name)) {
        describe_one(table, look, out)?;
        found = true;
    }
    Ok(found)
}

fn named(table: &TableInfo, name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((schema, name)) => table.schema.eq_ignore_ascii_case(schema) && table.name.eq_ignore_ascii_case(name),
        None => table.name.eq_ignore_ascii_case(name),
    }
}

fn list(tables: &[&TableInfo], look: Look, out: &mut impl Write) -> io::Result<()> {
    let mut listing = Table::new(vec![Column::text("Schema"), Column::text("Name"), Column::text("Description")], look);
    for table in tables {
        listing.push(vec![Some(table.schema.clone()), Some(table.name.clone()), Some(table.description.clone())], out)?;
    }
    listing.finish(out)?;
    writeln!(out, "({} {})\n", tables.len(), if tables.len() == 1 { "table" } else { "tables" })
}

fn describe_one(table: &TableInfo, look: Look, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}.{}", table.schema, table.name)?;
    if !table.description.is_empty() {
        writeln!(out, "{}", table.description)?;
    }
    let mut listing = Table::new(vec![Column::text("Column"), Column::text("Type"), Column::text("Nullable")], look);
    for column in &table.columns {
        let nullable = if column.nullable { "" } else { "not null" };
        listing.push(vec![Some(column.name.clone()), Some(column.data_type.clone()), Some(nullable.to_owned())], out)?;
    }
    listing.finish(out)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use wh_query::ColumnInfo;

    use super::*;

    fn catalog() -> Vec<TableInfo> {
        let column = |name: &str, data_type: &str, nullable| ColumnInfo { name: name.to_owned(), data_type: data_type.to_owned(), nullable };
        vec![
            TableInfo {
                schema: "search".to_owned(),
                name: "alerts".to_owned(),
                description: "full-text alerts".to_owned(),
                columns: vec![column("alert_id", "text", false), column("message", "text", true)],
                is_view: false,
                unique: vec!["alert_id".to_owned()],
            },
            TableInfo {
                schema: "ledger".to_owned(),
                name: "transactions".to_owned(),
                description: String::new(),
                columns: vec![column("amount", "decimal(15,2)", false)],
                is_view: false,
                unique: Vec::new(),
            },
        ]
    }

    fn described(name: Option<&str>) -> Option<String> {
        let mut out = Vec::new();
        let found = describe(&catalog(), name, Look::default(), &mut out).unwrap();
        found.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn commands_are_read_with_and_without_their_argument() {
        assert_eq!(parse("\\d"), Ok(Some(Command::Describe(None))));
        assert_eq!(parse("  \\d search.alerts; "), Ok(Some(Command::Describe(Some("search.alerts")))));
        assert_eq!(parse("\\timing"), Ok(Some(Command::Timing(None))));
        assert_eq!(parse("\\timing off"), Ok(Some(Command::Timing(Some(false)))));
        assert_eq!(parse("\\format CSV"), Ok(Some(Command::Format(Format::Csv))));
        assert_eq!(parse("\\format"), Ok(Some(Command::ShowFormat)));
        assert_eq!(parse("\\o my results.csv"), Ok(Some(Command::Output(Some("my results.csv".into())))));
        assert_eq!(parse("\\o"), Ok(Some(Command::Output(None))));
        assert_eq!(parse("\\q;"), Ok(Some(Command::Quit)));
    }

    #[test]
    fn exit_and_quit_leave_and_all_else_is_sql() {
        assert_eq!(parse("EXIT;"), Ok(Some(Command::Quit)));
        assert_eq!(parse("quit"), Ok(Some(Command::Quit)));
        assert_eq!(parse("SELECT 1;"), Ok(None));
    }

    #[test]
    fn an_unknown_command_or_format_names_what_there_is() {
        assert!(parse("\\x").unwrap_err().contains("\\?"));
        assert!(parse("\\format xml").unwrap_err().contains("table, csv, json, ndjson"));
        assert!(parse("\\format parquet").unwrap_err().contains("--output"));
        assert!(parse("\\timing maybe").is_err());
    }

    #[test]
    fn tables_are_listed_in_the_catalogs_order() {
        let text = described(None).unwrap();
        assert!(text.find(" search").unwrap() < text.find(" ledger").unwrap(), "{text}");
        assert!(text.contains("full-text alerts") && text.contains("(2 tables)"), "{text}");
    }

    #[test]
    fn a_table_is_found_by_either_name_and_a_schema_lists_its_tables() {
        assert!(described(Some("ALERTS")).unwrap().contains(" alert_id | text | not null\n"));
        assert_eq!(described(Some("alerts")), described(Some("search.\"alerts\"")));
        assert!(described(Some("search")).unwrap().contains("(1 table)"));
        assert_eq!(described(Some("ledger.alerts")), None);
    }
}
