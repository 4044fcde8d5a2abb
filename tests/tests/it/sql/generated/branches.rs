//! What a query had pushed, read from its plan, and what must have been pushed often enough by all of them together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::catalog::{Table, Type};
use super::fixture::Servers;

/// How often each branch must be reached.
pub(super) const ENOUGH: usize = 20;
const OPERATORS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];
/// Stores that compute groups themselves.
const AGGREGATES: [&str; 9] = ["count(*)", "count", "sum", "min", "max", "count distinct", "by column", "by date_bin", "by date_trunc"];

/// One thing that a store can be asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Branch {
    /// The schema in SQL.
    pub(super) role: &'static str,
    pub(super) kind: String,
}

/// Every branch of the translators that SQL can reach. A condition that is told beforehand (`IS NULL` of what is never NULL) is not asked.
pub(super) fn required(on: Servers) -> Vec<Branch> {
    let all: &[&str] = &OPERATORS;
    let equal: &[&str] = &OPERATORS[..2];
    let ranged: &[&str] = &["=", "<", "<=", ">", ">="];
    let logic: &[&str] = &["AND", "OR", "NOT"];
    let nulls: &[&str] = &["IS NULL", "IS TRUE", "IS FALSE", "IS UNKNOWN"];
    let parts: &[&str] = &["starts_with", "contains"];
    let mut list = List::default();
    list.compared("ledger", &["text", "integer", "money", "time", "float"], all);
    list.add("ledger", &[logic, nulls, parts, &AGGREGATES].concat());
    list.add("ledger", &["IN text", "IN integer", "IN money", "IN time", "flag", "limit", "order", "late", "aggregate", "joined", "joined order"]);
    list.compared("documents", &["text", "integer", "time"], all);
    list.add("documents", &[logic, nulls, parts].concat());
    list.add("documents", &["IN text", "IN integer", "IN time", "limit", "order", "late", "aggregate"]);
    list.compared("metrics", &["integer", "money"], all);
    list.compared("metrics", &["text"], if on.metrics { equal } else { all });
    // A time that must not be is no range.
    list.compared("metrics", &["time"], if on.metrics { ranged } else { all });
    list.add("metrics", &[logic, &["IN text", "IN integer", "IN money", "limit", "aggregate"]].concat());
    list.compared("baselines", &["text"], if on.baselines { ranged } else { all });
    list.compared("baselines", &["integer"], all);
    list.add("baselines", &["IN text", "IN integer", "starts_with", "limit", "late"]);
    list.compared("search", &["text"], if on.search { all } else { equal });
    list.compared("search", &["integer", "time"], all);
    list.add("search", &[logic, &["match", "IN text", "IN integer", "IN time", "limit", "order", "late"]].concat());
    list.compared("log", &["integer", "time"], all);
    list.add("log", &[logic, &["IN integer", "limit"]].concat());
    if !on.metrics {
        list.add("metrics", parts);
    }
    if !on.baselines {
        list.compared("baselines", &["float", "time"], all);
        list.add("baselines", &[logic, &["contains", "aggregate"]].concat());
    }
    if on.search {
        list.add("search", &["starts_with", "aggregate"]);
    }
    list.0
}

#[derive(Default)]
struct List(Vec<Branch>);

impl List {
    fn add(&mut self, role: &'static str, kinds: &[&str]) {
        self.0.extend(kinds.iter().map(|kind| Branch { role, kind: (*kind).to_owned() }));
    }

    fn compared(&mut self, role: &'static str, types: &[&str], operators: &[&str]) {
        for kind in types {
            self.0.extend(operators.iter().map(|operator| Branch { role, kind: format!("{operator} {kind}") }));
        }
    }
}

/// What one query had pushed.
#[derive(Clone, Debug, Default)]
pub(super) struct Pushed {
    /// Role and kind.
    pub(super) kinds: BTreeSet<(String, String)>,
    /// Whether a store was asked for more than its rows.
    pub(super) is_some: bool,
}

/// What a plan had pushed; `is_sorted`: rows are wanted in an order.
pub(super) fn pushed(plan: &str, tables: &[Table], is_sorted: bool) -> Pushed {
    let mut pushed = Pushed::default();
    let scans: Vec<&str> = plan.split("ScanExec: relation=").skip(1).collect();
    for scan in &scans {
        let role = scan.split('.').next().unwrap_or_default();
        let mut add = |kind: &str| pushed.kinds.insert((role.to_owned(), kind.to_owned()));
        let conditions = section(scan, ", pushed=[");
        let aggregation = section(scan, ", aggregate=[");
        let is_limited = scan.contains(", limit=");
        for kind in conditions.iter().flat_map(|text| kinds(text, role, tables)) {
            add(&kind);
        }
        for kind in aggregation.iter().flat_map(|text| measures(text)) {
            add(kind);
        }
        if scan.contains(", late=[") {
            add("late");
        }
        if is_limited {
            add("limit");
        }
        let is_ordered = is_sorted && scans.len() == 1 && !plan.contains("Sort");
        if is_ordered {
            add("order");
        }
        if scan.split(", native=").next().is_some_and(|relations| relations.contains(" join ")) {
            add(if is_ordered && is_limited { "joined order" } else { "joined" });
        }
        pushed.is_some |= conditions.is_some() || aggregation.is_some() || is_limited;
    }
    pushed
}

/// What stands between a word and the bracket that closes it; texts are in quotes.
fn section(scan: &str, word: &str) -> Option<String> {
    let (_, rest) = scan.split_once(word)?;
    let mut in_text = false;
    let end = rest.find(|c: char| {
        in_text ^= c == '\'';
        c == ']' && !in_text
    });
    Some(rest[..end.unwrap_or(rest.len())].to_owned())
}

/// Words of a condition; a text in quotes is one of them.
fn tokens(text: &str) -> Vec<String> {
    let (mut tokens, mut token, mut in_text) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        in_text ^= c == '\'';
        if !in_text && (c.is_whitespace() || "(),".contains(c)) {
            tokens.push(std::mem::take(&mut token));
        } else {
            token.push(c);
        }
    }
    tokens.push(token);
    tokens.retain(|token| !token.is_empty());
    tokens
}

fn kinds(text: &str, role: &str, tables: &[Table]) -> Vec<String> {
    let type_of = |name: &str| tables.iter().filter(|table| table.schema == role).find_map(|table| table.column(name)).map(|column| column.kind);
    let word = |name: Option<&String>| name.and_then(|name| type_of(name.as_str())).map_or("other", Type::word);
    let tokens = tokens(text);
    let mut kinds = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        match token.as_str() {
            "=" | "<>" | "<" | "<=" | ">" | ">=" | "IN" => kinds.push(format!("{token} {}", word(before))),
            "IS" => kinds.push(format!("IS {}", tokens.get(at + 1).map_or("", String::as_str))),
            "AND" | "OR" | "NOT" | "starts_with" | "contains" | "match" => kinds.push(token.clone()),
            name if type_of(name) == Some(Type::Flag) => kinds.push("flag".to_owned()),
            _ => {}
        }
    }
    kinds
}

fn measures(text: &str) -> Vec<&'static str> {
    let (computed, groups) = text.strip_prefix("by ").map(|groups| ("", groups)).or_else(|| text.split_once(" by ")).unwrap_or((text, ""));
    let said = |part: &str| computed.contains(part);
    let counted = computed.matches("count(").count() - computed.matches("count(*)").count() - computed.matches("count(distinct ").count();
    let binned = groups.matches("date_bin(").count() + groups.matches("date_trunc(").count();
    // A bin is said with a comma or two of its own.
    let columns = groups.split(", ").filter(|part| !part.is_empty() && !part.contains(['(', ')'])).count();
    let mut found = vec!["aggregate"];
    let all = [
        ("count(*)", said("count(*)")),
        ("count", counted > 0),
        ("sum", said("sum(")),
        ("min", said("min(")),
        ("max", said("max(")),
        ("count distinct", said("count(distinct ")),
        ("by column", columns > 0 || (binned == 0 && !groups.is_empty())),
        ("by date_bin", groups.contains("date_bin(")),
        ("by date_trunc", groups.contains("date_trunc(")),
    ];
    found.extend(all.into_iter().filter(|(_, is_said)| *is_said).map(|(kind, _)| kind));
    found
}

/// How often each branch was reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(BTreeMap<(String, String), usize>);

impl Tally {
    pub(super) fn add(&mut self, pushed: &Pushed) {
        for kind in &pushed.kinds {
            *self.0.entry(kind.clone()).or_default() += 1;
        }
    }

    pub(super) fn of(&self, branch: &Branch) -> usize {
        self.0.get(&(branch.role.to_owned(), branch.kind.clone())).copied().unwrap_or(0)
    }

    /// One line a role: each kind and how often.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        let mut last = "";
        for ((role, kind), count) in &self.0 {
            if role != last {
                last = role.as_str();
                write!(text, "\n{role}:").unwrap();
            }
            write!(text, " {kind} {count},").unwrap();
        }
        text
    }
}
