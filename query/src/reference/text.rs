//! The text of docs/sql-reference.md. Pure.

use std::sync::Arc;

use super::{asked, meanings};
use crate::catalog::type_name;
use crate::cut::CutRule;
use crate::settings::{Defaults, Settings};
use crate::table::{Relation, Support};

const BEGIN: &str = "\
# Tables, columns, and what is pushed where

Written by a test from the catalog and the translators (`WARDHOUSE_WRITE_DOCS=1 cargo test -p wh-query reference`), so do not edit it: the test
fails where it differs. [sql.md](sql.md) says how to use all of it.

## Tables and columns

Times are `timestamp with time zone`, to the microsecond. JSON is text that `->`, `->>`, `@>` and the like read. A column is NOT NULL unless it says
so; *unique* is said of a column that has no value twice.
";

const PUSHED: &str = "
## What is pushed where

Two signs a cell: the embedded store (SQLite; Tantivy for `search`; the log's own file), then the server (PostgreSQL, MongoDB, InfluxDB, Redis,
Elasticsearch, Kafka).

| sign | meaning |
|---|---|
| ● | the store answers it, exactly as SQL would |
| ○ | the store leaves out rows for which it cannot hold; what it gives is checked again |
| · | the store is not asked; the SQL engine computes it from the rows |

An empty cell makes no sense for the column's type. Each kind is asked alone here, of a plain value: `EXPLAIN` tells what becomes of a whole query. `<` `>`
stands for `<=`, `>=` and BETWEEN too, `NOT` `OR` for conditions that are negated or put together by OR, `by day` and `by month` for `date_trunc` and `date_bin` in UTC, `ORDER BY` for
the first column of an order without LIMIT (asked where the store has it anyway), `ORDER BY` `LIMIT` for one with LIMIT of at most 10,000, `join key` for a join with another table of the same schema that becomes one native query. An average is computed from
`sum` and `count`. Conditions on columns of a join's other side reach every store as lists or bounds where `IN` and `<` `>` are answered. Every store is asked for the wanted columns
alone, and for no more rows than LIMIT where all conditions are answered exactly.
";

const SETTINGS: &str = "
## Settings

`SET name = value`, `SHOW name`, `SHOW ALL`, `RESET name`, `DISCARD ALL`. Whatever is not here is refused with its nearest name; a value that would not be
obeyed is refused too.

| setting | by itself | what it is |
|---|---|---|
";

/// All of it.
pub(super) fn reference(embedded: &[Arc<Relation>], servers: &[Arc<Relation>]) -> String {
    let mut text = BEGIN.to_owned();
    let mut schema = "";
    let mut topic = None;
    for relation in embedded {
        if relation.schema_name != schema {
            schema = relation.schema_name;
            line(&mut text, &format!("\n### {schema}"));
        }
        // The topics are alike, but for one.
        let is_told = schema == "log" && topic.as_ref() == Some(&relation.scan.schema());
        let kind = if relation.is_view { ", a view" } else { "" };
        line(&mut text, &format!("\n`{}`{kind}: {}. {}", relation.qualified_name(), relation.description, read(relation.cut)));
        if !is_told {
            columns(relation, &mut text);
        }
        if schema == "log" && topic.is_none() {
            topic = Some(relation.scan.schema());
        }
    }
    text.push_str(PUSHED);
    matrices(embedded, servers, &mut text);
    settings(&mut text);
    text
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// How a table is read under `SET wardhouse.read = 'cut'`.
fn read(rule: CutRule) -> &'static str {
    match rule {
        CutRule::BySeq | CutRule::ByOffset => "As of the cut.",
        CutRule::BySeqButPatterns => "As of the cut, but for alerts of patterns over several accounts.",
        CutRule::BySeqButStatus => "As of the cut, but for the status and for alerts of patterns over several accounts.",
        CutRule::Latest => "Its latest, also under a cut.",
        CutRule::Outside => "Outside any cut.",
    }
}

fn columns(relation: &Relation, text: &mut String) {
    text.push_str("\n| column | type | meaning |\n|---|---|---|\n");
    let table = relation.qualified_name();
    for (index, field) in relation.scan.schema().fields().iter().enumerate() {
        let unique = if relation.scan.is_unique(index) { "; unique" } else { "" };
        let nullable = if field.is_nullable() { ", may be NULL" } else { "" };
        let meaning = meanings::meaning(&table, field.name()).unwrap_or("–");
        line(text, &format!("| `{}` | {}{nullable} | {meaning}{unique} |", field.name(), type_name(field.data_type())));
    }
}

/// The answers of one table, in Markdown, without its name.
fn matrix(embedded: &Relation, servers: &Relation, all: &[Vec<Arc<Relation>>; 2]) -> String {
    let schema = embedded.scan.schema();
    let mut rows: Vec<(&str, Vec<String>)> = Vec::new();
    for (index, field) in schema.fields().iter().enumerate() {
        let answers = asked::answers(embedded, &all[0], index).into_iter().zip(asked::answers(servers, &all[1], index));
        rows.push((field.name().as_str(), answers.map(|(one, other)| cell(one, other)).collect()));
    }
    let mut text = String::new();
    match (asked::counts_rows(embedded.scan.as_ref()), asked::counts_rows(servers.scan.as_ref())) {
        (true, true) => text.push_str("\n`count(*)` is the store's, on both.\n"),
        (true, false) => text.push_str("\n`count(*)` is the store's where it is embedded.\n"),
        (false, true) => text.push_str("\n`count(*)` is the store's on the server.\n"),
        (false, false) => {}
    }
    let pushed = |cell: &str| cell.contains(['●', '○']);
    let (some, none): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, cells)| cells.iter().any(|cell| pushed(cell)));
    let wanted: Vec<usize> = (0..asked::HEADINGS.len()).filter(|at| some.iter().any(|(_, cells)| cells.get(*at).is_some_and(|cell| pushed(cell)))).collect();
    if !some.is_empty() {
        let headings: Vec<&str> = wanted.iter().filter_map(|at| asked::HEADINGS.get(*at).copied()).collect();
        line(&mut text, &format!("\n| | {} |\n|---|{}", headings.join(" | "), "---|".repeat(headings.len())));
        for (name, cells) in &some {
            let cells: Vec<&str> = wanted.iter().filter_map(|at| cells.get(*at).map(String::as_str)).collect();
            line(&mut text, &format!("| `{name}` | {} |", cells.join(" | ")));
        }
    }
    if !none.is_empty() {
        let names: Vec<String> = none.iter().map(|(name, _)| format!("`{name}`")).collect();
        line(&mut text, &format!("\nNothing is asked about {}.", names.join(", ")));
    }
    text
}

fn cell(embedded: Option<Support>, servers: Option<Support>) -> String {
    let sign = |support: Option<Support>| match support {
        Some(Support::Exact) => "●",
        Some(Support::Inexact) => "○",
        Some(Support::No) | None => "·",
    };
    if embedded.is_none() && servers.is_none() { String::new() } else { format!("{}{}", sign(embedded), sign(servers)) }
}

/// Every table's answers, those that are alike once.
fn matrices(embedded: &[Arc<Relation>], servers: &[Arc<Relation>], text: &mut String) {
    let all = [embedded.to_vec(), servers.to_vec()];
    let mut told: Vec<(Vec<String>, String)> = Vec::new();
    for (one, other) in embedded.iter().zip(servers) {
        let matrix = matrix(one, other, &all);
        let name = format!("`{}`", one.qualified_name());
        // Alike are a table and its view, and the topics; not what happens to be answered alike in another schema.
        let schema = |name: &str| name.split('.').next().map(str::to_owned);
        let like = told.iter_mut().find(|(names, known)| *known == matrix && names.iter().any(|other| schema(other) == schema(&name)));
        match like {
            Some((names, _)) => names.push(name),
            None => told.push((vec![name], matrix)),
        }
    }
    for (names, matrix) in told {
        line(text, &format!("\n### {}\n{matrix}", names.join(", ")));
    }
    // One empty line between two parts is enough.
    while text.ends_with("\n\n") {
        text.pop();
    }
}

fn settings(text: &mut String) {
    text.push_str(SETTINGS);
    let defaults = Defaults { zone: "UTC".to_owned(), principal: "local".to_owned(), timeout: None, most: None, schemas: Arc::default() };
    for (name, value, description) in Settings::new(defaults).all() {
        // It has the version in it, which changes with each release.
        if name != "server_version" {
            let value = if value.is_empty() { String::new() } else { format!("`{value}`") };
            line(text, &format!("| `{name}` | {value} | {description} |"));
        }
    }
}
