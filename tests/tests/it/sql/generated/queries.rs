//! Queries over one table: rows, groups, and what both have in common.
//!
//! What must stay true: a query says itself in which order its rows must come, and which of its columns hold sums of floats, whose last bits
//! depend on the order of addition.

use super::catalog::{Column, Table, Type};
use super::conditions::{Scope, condition, leaf};
use super::dice::Dice;
use super::literals::quoted;
use super::matching::{Analysed, Match};

/// How often each table is asked for; others have a weight of 1.
const WEIGHTS: [(&str, usize); 17] = [
    ("ledger.transactions", 16),
    ("ledger.risk_alerts", 8),
    ("ledger.high_risk_transactions", 5),
    ("ledger.recent_alerts", 2),
    ("ledger.user_profiles", 7),
    ("ledger.audit_log", 3),
    ("ledger.transaction_patterns", 5),
    ("ledger.system_metrics", 6),
    ("ledger.transaction_summary", 4),
    ("ledger.user_risk_summary", 5),
    ("documents.transaction_metadata", 7),
    ("documents.explanations", 13),
    ("metrics.throughput", 16),
    ("baselines.users", 15),
    ("search.alerts", 18),
    ("log.risk_scores", 9),
    ("log.dead_letters", 3),
];
const BINS: [&str; 8] = ["15 minutes", "1 hour", "90 seconds", "1 day", "7 days", "500 milliseconds", "1 month", "1 year"];
const UNITS: [&str; 9] = ["microsecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"];

/// A column to sort by, and how.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) column: usize,
    words: &'static str,
}

/// A generated query.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    /// All but the order and the limit; a `match` stands in it as a mark.
    body: String,
    pub(super) order: Vec<Key>,
    limit: Option<usize>,
    offset: usize,
    /// Columns of the answer that are compared up to their last bits.
    pub(super) approximate: Vec<usize>,
    matches: Vec<Match>,
}

impl Query {
    /// Whether not all rows are wanted, so that it may be any of those that sort alike.
    pub(super) fn is_limited(&self) -> bool {
        self.limit.is_some() || self.offset > 0
    }

    /// As the stores are asked it.
    pub(super) fn asked(&self) -> String {
        self.said(true, Match::asked)
    }

    /// As tables in memory are asked it.
    pub(super) fn in_memory(&self, alerts: &[Analysed], is_limited: bool) -> String {
        self.said(is_limited, |found| found.found(alerts))
    }

    fn said(&self, is_limited: bool, say: impl Fn(&Match) -> String) -> String {
        let mut text = self.body.clone();
        for (place, found) in self.matches.iter().enumerate() {
            text = text.replace(&mark(place), &say(found));
        }
        for (place, key) in self.order.iter().enumerate() {
            text.push_str(&format!("{}{}{}", if place > 0 { ", " } else { " ORDER BY " }, key.column + 1, key.words));
        }
        if is_limited && let Some(limit) = self.limit {
            text.push_str(&format!(" LIMIT {limit}"));
        }
        if is_limited && self.offset > 0 {
            text.push_str(&format!(" OFFSET {}", self.offset));
        }
        text
    }
}

fn mark(place: usize) -> String {
    format!("⟨match {place}⟩")
}

/// Makes one query.
pub(super) struct Maker<'t> {
    pub(super) dice: Dice,
    pub(super) tables: &'t [Table],
    matches: Vec<Match>,
}

/// What stands in a SELECT list.
pub(super) struct Item {
    pub(super) text: String,
    pub(super) is_approximate: bool,
}

impl Item {
    pub(super) fn exact(text: String) -> Item {
        Item { text, is_approximate: false }
    }
}

/// The items, each under a name.
pub(super) fn named(items: &[Item]) -> String {
    let named: Vec<String> = items.iter().enumerate().map(|(place, item)| format!("{} AS c{place}", item.text)).collect();
    named.join(", ")
}

impl<'t> Maker<'t> {
    pub(super) fn new(dice: Dice, tables: &'t [Table]) -> Maker<'t> {
        Maker { dice, tables, matches: Vec::new() }
    }

    /// Any query.
    pub(super) fn query(mut self) -> Query {
        match self.dice.weighted(&[36, 22, 16, 5, 10, 5, 5, 1]) {
            0 => {
                let table = self.table();
                self.rows_of(table)
            }
            1 => {
                let table = self.table();
                self.groups_of(table)
            }
            2 => self.join(),
            3 => self.join_of_three(),
            4 => self.semi_join(),
            5 => self.union(),
            6 => self.nested(),
            _ => self.fault(),
        }
    }

    pub(super) fn table(&mut self) -> &'t Table {
        let tables = self.tables;
        let weight = |table: &Table| WEIGHTS.iter().find(|(name, _)| *name == table.qualified()).map_or(1, |(_, weight)| *weight);
        let weights: Vec<usize> = tables.iter().map(weight).collect();
        &tables[self.dice.weighted(&weights)]
    }

    pub(super) fn named(&self, name: &str) -> Option<&'t Table> {
        self.tables.iter().find(|table| table.qualified() == name)
    }

    /// Conditions of which all must hold.
    pub(super) fn conditions(&mut self, scope: Scope<'_>) -> Vec<String> {
        let count = self.dice.weighted(&[4, 46, 32, 18]);
        let mut conditions: Vec<String> = (0..count).map(|_| if self.dice.percent(55) { leaf(&mut self.dice, scope) } else { condition(&mut self.dice, scope, 3) }).collect();
        if scope.table.qualified() == "search.alerts" && self.dice.percent(50) {
            conditions.push(self.full_text(scope.alias));
        }
        conditions
    }

    /// A condition that the index alone can answer: a `match`, or several, or one and a number.
    pub(super) fn full_text(&mut self, alias: &str) -> String {
        let one = self.mark(alias);
        match self.dice.below(8) {
            0 => format!("NOT {one}"),
            1 => format!("({one} OR {})", self.mark(alias)),
            2 => format!("({one} OR {alias}.\"risk_score\" >= {})", self.dice.between(70, 100)),
            3 => format!("({one} AND {alias}.\"seq\" < {})", self.dice.below(120)),
            _ => one,
        }
    }

    fn mark(&mut self, alias: &str) -> String {
        let made = Match::new(&mut self.dice, alias);
        self.matches.push(made);
        mark(self.matches.len() - 1)
    }

    /// The query with this body and these columns, in some order, and some of its rows.
    pub(super) fn finished(self, body: String, items: &[Item]) -> Query {
        let approximate: Vec<usize> = items.iter().enumerate().filter(|(_, item)| item.is_approximate).map(|(place, _)| place).collect();
        self.closed(body, items.len(), approximate)
    }

    fn closed(mut self, body: String, columns: usize, approximate: Vec<usize>) -> Query {
        let mut order = Vec::new();
        if self.dice.percent(50) {
            let exact: Vec<usize> = (0..columns).filter(|column| !approximate.contains(column)).collect();
            let count = self.dice.between(1, 3);
            for place in self.dice.places(exact.len(), count) {
                let words = *self.dice.pick(&["", "", " DESC", " DESC", " ASC NULLS FIRST", " ASC NULLS LAST", " DESC NULLS FIRST", " DESC NULLS LAST"]);
                order.push(Key { column: exact[place], words });
            }
        }
        let limit = self.dice.percent(35).then(|| *self.dice.pick(&[0, 1, 2, 3, 5, 10, 20, 100, 1_000]));
        let offset = if limit.is_some() && self.dice.percent(25) { self.dice.below(12) } else { 0 };
        Query { body, order, limit, offset, approximate, matches: self.matches }
    }

    /// The same with a limit, and by one column where that is wanted.
    pub(super) fn limited(self, body: String, by_first: bool) -> Query {
        let order = if by_first { vec![Key { column: 0, words: "" }] } else { Vec::new() };
        Query { body, order, limit: Some(7), offset: 0, approximate: Vec::new(), matches: self.matches }
    }

    /// A column or something computed of one.
    pub(super) fn item(&mut self, scope: Scope<'_>, is_hashed: bool) -> Item {
        let places = scope.table.which(|column| !(column.has_zeros && is_hashed) && (!column.is_long || !is_hashed));
        let column = &scope.table.columns[*self.dice.pick(&places)];
        let name = scope.name(column);
        let computed = self.dice.percent(25);
        Item::exact(match column.kind {
            _ if !computed => name,
            Type::Text if column.is_json => format!("{name}->>{}", quoted(*self.dice.pick(&["ip", "a", "stage", "night", "missing"]))),
            Type::Text => format!("upper({name})"),
            Type::Time => format!("date_trunc('{}', {name})", self.dice.pick(&UNITS)),
            Type::Money => format!("{name} + 1"),
            Type::Integer if !column.is_wide => format!("CASE WHEN {name} > 50 THEN 'much' ELSE 'little' END"),
            _ => format!("{name} IS NULL"),
        })
    }

    pub(super) fn rows_of(mut self, table: &'t Table) -> Query {
        let scope = Scope { alias: "a", table };
        let conditions = filter(&self.conditions(scope));
        if self.dice.percent(14) {
            let body = format!("SELECT * FROM {} AS a{conditions}", table.qualified());
            return self.closed(body, table.columns.len(), Vec::new());
        }
        let is_distinct = self.dice.percent(15);
        let items: Vec<Item> = (0..self.dice.between(1, 5)).map(|_| self.item(scope, is_distinct)).collect();
        let body = format!("SELECT {}{} FROM {} AS a{conditions}", if is_distinct { "DISTINCT " } else { "" }, named(&items), table.qualified());
        self.finished(body, &items)
    }

    /// What rows are grouped by.
    pub(super) fn group(&mut self, scope: Scope<'_>) -> String {
        let places = scope.table.which(|column| column.is_plain() && !column.is_json);
        if places.is_empty() {
            return "'all'".to_owned();
        }
        let column = &scope.table.columns[*self.dice.pick(&places)];
        let name = scope.name(column);
        match self.dice.below(if column.kind == Type::Time { 4 } else { 1 }) {
            0 => name,
            1 | 2 => self.truncated(&name),
            _ => self.binned(&name),
        }
    }

    pub(super) fn truncated(&mut self, name: &str) -> String {
        format!("date_trunc('{}', {name})", self.dice.pick(&UNITS))
    }

    pub(super) fn binned(&mut self, name: &str) -> String {
        let origin = if self.dice.percent(20) { ", TIMESTAMPTZ '2001-01-01T00:00:10Z'" } else { "" };
        format!("date_bin(INTERVAL '{}', {name}{origin})", self.dice.pick(&BINS))
    }

    /// An aggregate over one column.
    pub(super) fn measure(&mut self, scope: Scope<'_>) -> Item {
        let column: &Column = self.dice.pick(&scope.table.columns);
        let name = scope.name(column);
        let adds = matches!(column.kind, Type::Integer | Type::Money | Type::Float) && !column.has_zeros;
        let is_approximate = column.kind == Type::Float;
        match self.dice.below(if adds { 9 } else { 6 }) {
            0 => Item::exact("count(*)".to_owned()),
            1 => Item::exact(format!("count({name})")),
            2 if column.is_plain() => Item::exact(format!("count(DISTINCT {name})")),
            3 if column.is_plain() && column.kind != Type::Flag => Item::exact(format!("max({name})")),
            4 | 5 if column.is_plain() && column.kind != Type::Flag => Item::exact(format!("min({name})")),
            6 | 7 => Item { text: format!("sum({name})"), is_approximate },
            8 => Item { text: format!("avg({name})"), is_approximate: is_approximate || column.is_wide },
            _ => Item::exact("count(*)".to_owned()),
        }
    }

    pub(super) fn groups_of(mut self, table: &'t Table) -> Query {
        let scope = Scope { alias: "a", table };
        // The fewer conditions stay above a scan, the more it can group itself.
        let conditions = if self.dice.percent(35) { String::new() } else { filter(&self.conditions(scope)) };
        let groups = self.dice.weighted(&[22, 48, 30]);
        let mut items: Vec<Item> = (0..groups).map(|_| Item::exact(self.group(scope))).collect();
        let measures = self.dice.between(usize::from(groups == 0), 3);
        items.extend((0..measures).map(|_| self.measure(scope)));
        let by: Vec<String> = (1..=groups).map(|place| place.to_string()).collect();
        let by = if groups == 0 { String::new() } else { format!(" GROUP BY {}", by.join(", ")) };
        let having = if groups > 0 && self.dice.percent(20) { format!(" HAVING count(*) > {}", self.dice.below(5)) } else { String::new() };
        let body = format!("SELECT {} FROM {} AS a{conditions}{by}{having}", named(&items), table.qualified());
        self.finished(body, &items)
    }
}

/// `WHERE`, if there is a condition.
pub(super) fn filter(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" AND ")) }
}
