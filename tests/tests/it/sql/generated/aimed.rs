//! Queries made for one branch of a translator, for those that chance asks for too seldom.

use super::branches::Branch;
use super::catalog::{Column, Table, Type};
use super::conditions::{Scope, compare, list, plain_like};
use super::queries::{Item, Maker, Query, named};

impl<'t> Maker<'t> {
    /// A query that is meant to reach a branch. It may miss it: columns are of many kinds.
    pub(super) fn aimed(mut self, branch: &Branch) -> Query {
        let role = branch.role;
        let kind = branch.kind.as_str();
        match kind {
            "limit" | "order" => self.few_rows(role, kind == "order"),
            "joined" | "joined order" => self.joined_in_store(role, kind == "joined order"),
            "late" => self.narrow_join(role),
            "aggregate" | "count(*)" | "count" | "sum" | "min" | "max" | "count distinct" | "by column" | "by date_bin" | "by date_trunc" => self.aggregate(role, kind),
            "match" => {
                let (table, _) = self.column_of(role, |_| true);
                let condition = self.full_text("a");
                self.filtered(table, &condition)
            }
            _ => {
                let (table, condition) = self.condition_of(role, kind);
                self.filtered(table, &condition)
            }
        }
    }

    /// A column of a table with rows.
    fn column_of(&mut self, role: &str, is_wanted: impl Fn(&Column) -> bool) -> (&'t Table, &'t Column) {
        let tables = self.tables.iter().filter(|table| table.schema == role && table.rows > 0);
        let pairs: Vec<(&'t Table, &'t Column)> = tables.flat_map(|table| table.columns.iter().filter(|column| is_wanted(column)).map(move |column| (table, column))).collect();
        assert!(!pairs.is_empty(), "a table of {role} has such a column");
        *self.dice.pick(&pairs)
    }

    fn filtered(mut self, table: &'t Table, condition: &str) -> Query {
        let scope = Scope { alias: "a", table };
        let items = [self.item(scope, true), self.item(scope, true)];
        let body = format!("SELECT {} FROM {} AS a WHERE {condition}", named(&items), table.qualified());
        self.finished(body, &items)
    }

    /// A condition in which something of this kind stands.
    fn condition_of(&mut self, role: &str, kind: &str) -> (&'t Table, String) {
        let is_simple = |column: &Column| !column.is_json && !column.is_long && column.kind != Type::Flag;
        let (table, column) = match kind {
            "IS NULL" | "IS TRUE" | "IS FALSE" | "IS UNKNOWN" => self.column_of(role, |column| column.is_nullable && is_simple(column)),
            "flag" => self.column_of(role, |column| column.kind == Type::Flag),
            "starts_with" | "contains" => self.column_of(role, |column| column.kind == Type::Text && !column.is_json),
            "AND" | "OR" | "NOT" => self.column_of(role, is_simple),
            typed => self.column_of(role, |column| is_simple(column) && typed.ends_with(column.kind.word())),
        };
        let name = Scope { alias: "a", table }.name(column);
        let dice = &mut self.dice;
        let condition = match kind {
            "IS NULL" => format!("{name} IS {}NULL", dice.pick(&["", "NOT "])),
            "IS TRUE" | "IS FALSE" | "IS UNKNOWN" => format!("({}) {}", compare(dice, &name, column, None), kind.replace("IS ", "IS NOT ")),
            "flag" => format!("{}{name}", dice.pick(&["", "NOT "])),
            "starts_with" | "contains" => plain_like(dice, &name, column, kind == "starts_with"),
            "AND" | "OR" => {
                // The log is asked by numbers and times alone.
                let is_asked = |column: &Column| role != "log" || matches!(column.kind, Type::Integer | Type::Time);
                let others = table.which(|column| is_simple(column) && is_asked(column));
                let mut one = || {
                    let other = &table.columns[*dice.pick(&others)];
                    let name = Scope { alias: "a", table }.name(other);
                    compare(dice, &name, other, Some(if other.kind == Type::Time { ">=" } else { "=" }))
                };
                if kind == "AND" { format!("({} AND {}) OR {}", one(), one(), one()) } else { format!("{} OR {}", one(), one()) }
            }
            "NOT" => list(dice, &name, column, 4).replacen(" NOT IN (", " IN (", 1).replacen(" IN (", " NOT IN (", 1),
            listed if listed.starts_with("IN ") => list(dice, &name, column, 4).replacen(" NOT IN (", " IN (", 1),
            operator => compare(dice, &name, column, operator.split(' ').next()),
        };
        (table, condition)
    }

    fn few_rows(mut self, role: &str, by_first: bool) -> Query {
        let (table, column) = self.column_of(role, |column| !column.is_long && !column.is_json);
        let scope = Scope { alias: "a", table };
        let body = format!("SELECT {} AS c0 FROM {} AS a", scope.name(column), table.qualified());
        self.limited(body, by_first)
    }

    fn aggregate(mut self, role: &str, kind: &str) -> Query {
        let adds = |column: &Column| matches!(column.kind, Type::Integer | Type::Money);
        let (table, column) = match kind {
            "sum" => self.column_of(role, adds),
            "by date_bin" | "by date_trunc" => self.column_of(role, |column| column.kind == Type::Time),
            // Of a column without NULL the planner makes `count(*)`.
            "count" if role == "ledger" => self.column_of(role, |column| column.is_nullable && column.is_plain() && !column.is_json && column.kind != Type::Flag),
            _ => self.column_of(role, |column| column.is_plain() && !column.is_json && column.kind != Type::Flag),
        };
        let scope = Scope { alias: "a", table };
        let name = scope.name(column);
        let mut items = Vec::new();
        match kind {
            "by column" => items.push(Item::exact(name.clone())),
            "by date_bin" => items.push(Item::exact(self.binned(&name))),
            "by date_trunc" => items.push(Item::exact(self.truncated(&name))),
            _ if self.dice.percent(50) => items.push(Item::exact(self.group(scope))),
            _ => {}
        }
        let by = if items.is_empty() { "" } else { " GROUP BY 1" };
        items.push(Item::exact(match kind {
            "count" | "sum" | "min" | "max" => format!("{kind}({name})"),
            "count distinct" => format!("count(DISTINCT {name})"),
            _ => "count(*)".to_owned(),
        }));
        let condition = if self.dice.percent(40) {
            let (of, what) = self.condition_of(role, "OR");
            if of.name == table.name { format!(" WHERE {what}") } else { String::new() }
        } else {
            String::new()
        };
        let body = format!("SELECT {} FROM {} AS a{condition}{by}", named(&items), table.qualified());
        self.finished(body, &items)
    }
}
