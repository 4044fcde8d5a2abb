//! Queries over two and three tables, of one store and of several.

use super::catalog::{Table, Type};
use super::conditions::{Scope, compare, leaf};
use super::queries::{Item, Maker, Query, filter, named};

/// What belongs together.
struct Edge {
    left: (&'static str, &'static str),
    right: (&'static str, &'static str),
    /// Whether a row finds few others.
    is_narrow: bool,
}

const fn edge(left: (&'static str, &'static str), right: (&'static str, &'static str), is_narrow: bool) -> Edge {
    Edge { left, right, is_narrow }
}

static EDGES: [Edge; 26] = [
    edge(("ledger.transactions", "transaction_id"), ("ledger.risk_alerts", "transaction_id"), true),
    edge(("ledger.transactions", "transaction_id"), ("documents.transaction_metadata", "transaction_id"), true),
    edge(("ledger.transactions", "transaction_id"), ("documents.explanations", "transaction_id"), true),
    edge(("ledger.transactions", "transaction_id"), ("search.alerts", "transaction_id"), true),
    edge(("ledger.transactions", "transaction_id"), ("log.risk_scores", "key"), true),
    edge(("ledger.high_risk_transactions", "transaction_id"), ("ledger.risk_alerts", "transaction_id"), true),
    edge(("ledger.risk_alerts", "alert_id"), ("search.alerts", "alert_id"), true),
    edge(("ledger.risk_alerts", "transaction_id"), ("documents.explanations", "transaction_id"), true),
    edge(("ledger.risk_alerts", "user_id"), ("baselines.users", "user_id"), true),
    edge(("ledger.transactions", "user_id"), ("ledger.user_profiles", "user_id"), true),
    edge(("ledger.transactions", "user_id"), ("baselines.users", "user_id"), true),
    edge(("ledger.transactions", "user_id"), ("ledger.transaction_patterns", "user_id"), false),
    edge(("ledger.user_profiles", "user_id"), ("ledger.user_risk_summary", "user_id"), true),
    edge(("ledger.user_profiles", "user_id"), ("baselines.users", "user_id"), true),
    edge(("ledger.transaction_patterns", "pattern_id"), ("ledger.risk_alerts", "alert_id"), true),
    edge(("ledger.transaction_patterns", "user_id"), ("ledger.user_profiles", "user_id"), true),
    edge(("documents.explanations", "transaction_id"), ("documents.transaction_metadata", "transaction_id"), true),
    edge(("documents.explanations", "transaction_id"), ("search.alerts", "transaction_id"), true),
    edge(("documents.transaction_metadata", "user_id"), ("baselines.users", "user_id"), true),
    edge(("search.alerts", "user_id"), ("baselines.users", "user_id"), true),
    edge(("search.alerts", "user_id"), ("ledger.user_profiles", "user_id"), true),
    edge(("metrics.throughput", "department"), ("baselines.users", "home_department"), false),
    edge(("metrics.throughput", "amount_sum"), ("ledger.transactions", "amount"), false),
    edge(("metrics.throughput", "time"), ("ledger.transactions", "timestamp"), true),
    edge(("ledger.transaction_summary", "department"), ("metrics.throughput", "department"), false),
    edge(("ledger.transactions", "counterparty_account"), ("ledger.transactions", "account_id"), false),
];

impl<'t> Maker<'t> {
    /// An edge both of whose tables are there.
    fn edge(&mut self, is_wanted: impl Fn(&Edge) -> bool) -> (&'static Edge, &'t Table, &'t Table) {
        let there: Vec<(&'static Edge, &'t Table, &'t Table)> =
            EDGES.iter().filter(|edge| is_wanted(edge)).filter_map(|edge| Some((edge, self.named(edge.left.0)?, self.named(edge.right.0)?))).collect();
        *self.dice.pick(&there)
    }

    /// Some columns of a table that are not long.
    fn some(&mut self, scope: Scope<'_>, most: usize) -> Vec<Item> {
        let places = scope.table.which(|column| !column.is_long);
        let count = self.dice.between(1, most);
        self.dice.places(places.len(), count).into_iter().map(|place| Item::exact(scope.name(&scope.table.columns[places[place]]))).collect()
    }

    pub(super) fn join(mut self) -> Query {
        let (edge, left, right) = self.edge(|_| true);
        let (a, b) = (Scope { alias: "a", table: left }, Scope { alias: "b", table: right });
        let kind = self.dice.weighted(&[66, 14, 10, 10]);
        let mut on = format!("a.\"{}\" = b.\"{}\"", edge.left.1, edge.right.1);
        if self.dice.percent(15) && left.column("partition").is_some() && right.column("partition").is_some() {
            on.push_str(" AND a.\"partition\" = b.\"partition\"");
        }
        // In ON a match would not be a condition of WHERE.
        if self.dice.percent(15) && right.schema != "search" {
            on.push_str(&format!(" AND ({})", leaf(&mut self.dice, b)));
        }
        let mut conditions = Vec::new();
        // What is asked of both sides of a FULL join can make it any other.
        if kind < 3 || self.dice.percent(40) {
            for scope in [a, b] {
                if self.dice.percent(60) {
                    conditions.extend(self.conditions(scope));
                }
            }
        }
        let word = ["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"][kind];
        let from = format!("FROM {} AS a {word} {} AS b ON {on}{}", left.qualified(), right.qualified(), filter(&conditions));
        if self.dice.percent(25) {
            return self.grouped_join(&from, a, b);
        }
        let mut items = self.some(a, 3);
        items.extend(self.some(b, 3));
        self.finished(format!("SELECT {} {from}", named(&items)), &items)
    }

    fn grouped_join(mut self, from: &str, a: Scope<'_>, b: Scope<'_>) -> Query {
        let group = self.group(a);
        let measures = [self.measure(a), self.measure(b)];
        let mut items = vec![Item::exact(group)];
        items.extend(measures);
        self.finished(format!("SELECT {} {from} GROUP BY 1", named(&items)), &items)
    }

    pub(super) fn join_of_three(mut self) -> Query {
        let (first, left, right) = self.edge(|edge| edge.is_narrow);
        let shared = |edge: &Edge| edge.is_narrow && [edge.left.0, edge.right.0].iter().any(|name| [first.left.0, first.right.0].contains(name));
        let (second, one, other) = self.edge(shared);
        // Which of the second edge's tables is there already, and under which name.
        let alias = |name: &str| if name == first.left.0 { Some("a") } else { (name == first.right.0).then_some("b") };
        let (alias, known, new, third) = match (alias(second.left.0), alias(second.right.0)) {
            (Some(alias), _) => (alias, second.left.1, second.right.1, other),
            (None, alias) => (alias.unwrap_or("a"), second.right.1, second.left.1, one),
        };
        let scopes = [Scope { alias: "a", table: left }, Scope { alias: "b", table: right }, Scope { alias: "c", table: third }];
        let mut conditions = Vec::new();
        for scope in scopes {
            if self.dice.percent(50) {
                conditions.extend(self.conditions(scope));
            }
        }
        let word = *self.dice.pick(&["JOIN", "JOIN", "JOIN", "LEFT JOIN"]);
        let mut items = Vec::new();
        for scope in scopes {
            items.extend(self.some(scope, 2));
        }
        let body = format!(
            "SELECT {} FROM {} AS a JOIN {} AS b ON a.\"{}\" = b.\"{}\" {word} {} AS c ON {alias}.\"{known}\" = c.\"{new}\"{}",
            named(&items),
            left.qualified(),
            right.qualified(),
            first.left.1,
            first.right.1,
            third.qualified(),
            filter(&conditions)
        );
        self.finished(body, &items)
    }

    /// `IN`, `NOT IN`, `EXISTS` and `NOT EXISTS` over another table.
    pub(super) fn semi_join(mut self) -> Query {
        let (edge, left, right) = self.edge(|_| true);
        let is_turned = self.dice.percent(40);
        let (outer, key, inner, inner_key) = if is_turned { (right, edge.right.1, left, edge.left.1) } else { (left, edge.left.1, right, edge.right.1) };
        let (a, b) = (Scope { alias: "a", table: outer }, Scope { alias: "b", table: inner });
        let mut within = self.conditions(b);
        let negated = *self.dice.pick(&["", "", "NOT "]);
        let semi = if self.dice.percent(60) {
            format!("a.\"{key}\" {negated}IN (SELECT b.\"{inner_key}\" FROM {} AS b{})", inner.qualified(), filter(&within))
        } else {
            within.push(format!("b.\"{inner_key}\" = a.\"{key}\""));
            format!("{negated}EXISTS (SELECT 1 FROM {} AS b{})", inner.qualified(), filter(&within))
        };
        let mut conditions = self.conditions(a);
        conditions.push(semi);
        let items = self.some(a, 4);
        self.finished(format!("SELECT {} FROM {} AS a{}", named(&items), outer.qualified(), filter(&conditions)), &items)
    }

    /// A join of two tables of one store, and the first rows of it where they are wanted in an order.
    pub(super) fn joined_in_store(mut self, role: &str, by_first: bool) -> Query {
        let is_of = |name: &str| name.split('.').next() == Some(role);
        let (edge, left, right) = self.edge(|edge| edge.is_narrow && is_of(edge.left.0) && is_of(edge.right.0));
        let items = [self.some(Scope { alias: "a", table: left }, 2), self.some(Scope { alias: "b", table: right }, 2)].into_iter().flatten().collect::<Vec<_>>();
        let body = format!("SELECT {} FROM {} AS a JOIN {} AS b ON a.\"{}\" = b.\"{}\"", named(&items), left.qualified(), right.qualified(), edge.left.1, edge.right.1);
        if by_first { self.limited(body, true) } else { self.finished(body, &items) }
    }

    /// A join whose one side is small, so that what it holds is told to the other one.
    pub(super) fn narrow_join(mut self, role: &str) -> Query {
        let (edge, left, right) = self.edge(|edge| edge.is_narrow && [edge.left.0, edge.right.0].iter().any(|name| name.split('.').next() == Some(role)));
        let small = if left.schema == role { Scope { alias: "b", table: right } } else { Scope { alias: "a", table: left } };
        let integers = small.table.which(|column| column.kind == Type::Integer || column.is_unique);
        let column = &small.table.columns[*self.dice.pick(&integers)];
        let condition = compare(&mut self.dice, &small.name(column), column, Some("="));
        let items = [self.some(Scope { alias: "a", table: left }, 2), self.some(Scope { alias: "b", table: right }, 2)].into_iter().flatten().collect::<Vec<_>>();
        let body =
            format!("SELECT {} FROM {} AS a JOIN {} AS b ON a.\"{}\" = b.\"{}\" WHERE {condition}", named(&items), left.qualified(), right.qualified(), edge.left.1, edge.right.1);
        self.finished(body, &items)
    }
}
