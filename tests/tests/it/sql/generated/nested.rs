//! Queries of several parts: unions, queries in FROM and in conditions, and some that cannot be answered.

use super::catalog::{Column, Table, Type};
use super::conditions::{Scope, compare};
use super::queries::{Item, Maker, Query, filter, named};

impl<'t> Maker<'t> {
    /// One column of each of these types, where the table has them.
    fn columns(&mut self, scope: Scope<'_>, types: &[Type]) -> Option<Vec<Item>> {
        let mut items = Vec::new();
        for kind in types {
            let places = scope.table.which(|column| column.kind == *kind && column.is_plain());
            if places.is_empty() {
                return None;
            }
            let column = &scope.table.columns[*self.dice.pick(&places)];
            items.push(Item::exact(scope.name(column)));
        }
        Some(items)
    }

    pub(super) fn union(mut self) -> Query {
        let mut types = vec![Type::Text];
        types.extend(*self.dice.pick(&[[Type::Integer, Type::Time], [Type::Integer, Type::Integer], [Type::Text, Type::Integer]]));
        let mut arms = Vec::new();
        while arms.len() < 2 {
            let table = self.table();
            let scope = Scope { alias: "a", table };
            if let Some(items) = self.columns(scope, &types) {
                let conditions = filter(&self.conditions(scope));
                arms.push(format!("SELECT {} FROM {} AS a{conditions}", named(&items), table.qualified()));
            }
        }
        let word = *self.dice.pick(&["UNION ALL", "UNION ALL", "UNION", "INTERSECT", "EXCEPT"]);
        let items: Vec<Item> = types.iter().map(|_| Item::exact(String::new())).collect();
        self.finished(format!("{} {word} {}", arms[0], arms[1]), &items)
    }

    pub(super) fn nested(mut self) -> Query {
        let table = self.table();
        match self.dice.below(4) {
            0 => self.derived(table, false),
            1 => self.derived(table, true),
            2 => self.first_rows(table),
            _ => self.compared_with_one(table),
        }
    }

    /// A query of a query, in FROM or in WITH.
    fn derived(mut self, table: &'t Table, is_named: bool) -> Query {
        let scope = Scope { alias: "a", table };
        let places = table.which(|column| !column.is_long);
        let count = self.dice.between(2, 5);
        let chosen: Vec<&Column> = self.dice.places(places.len(), count).into_iter().map(|place| &table.columns[places[place]]).collect();
        let inside: Vec<Item> = chosen.iter().map(|column| Item::exact(scope.name(column))).collect();
        let inner = format!("SELECT {} FROM {} AS a{}", named(&inside), table.qualified(), filter(&self.conditions(scope)));
        let renamed = |(place, column): (usize, &&Column)| Column { name: format!("c{place}"), ..(*column).clone() };
        // No match is found in what is no table of the search store.
        let outer = Table { schema: "derived".to_owned(), name: "s".to_owned(), rows: table.rows, columns: chosen.iter().enumerate().map(renamed).collect() };
        let scope = Scope { alias: "s", table: &outer };
        let conditions = filter(&self.conditions(scope));
        let (mut items, by) = if self.dice.percent(40) { (vec![Item::exact(self.group(scope))], " GROUP BY 1") } else { (Vec::new(), "") };
        for _ in 0..self.dice.between(1, 3) {
            let item = if by.is_empty() { self.item(scope, false) } else { self.measure(scope) };
            items.push(item);
        }
        let body = if is_named {
            format!("WITH s AS ({inner}) SELECT {} FROM s{conditions}{by}", named(&items))
        } else {
            format!("SELECT {} FROM ({inner}) AS s{conditions}{by}", named(&items))
        };
        self.finished(body, &items)
    }

    /// The first rows of a table by a column that tells them apart; a condition outside must not go in.
    fn first_rows(mut self, table: &'t Table) -> Query {
        let keys = table.which(|column| column.is_unique && column.is_plain());
        let Some(key) = (!keys.is_empty()).then(|| &table.columns[*self.dice.pick(&keys)]) else { return self.rows_of(table) };
        let scope = Scope { alias: "a", table };
        let within = filter(&self.conditions(scope));
        let (way, limit) = (*self.dice.pick(&["", " DESC"]), self.dice.between(1, 60));
        let inner = format!("SELECT a.* FROM {} AS a{within} ORDER BY {}{way} LIMIT {limit}", table.qualified(), scope.name(key));
        // No match is found outside of a limit.
        let outer = Table { schema: "derived".to_owned(), ..table.clone() };
        let scope = Scope { alias: "s", table: &outer };
        let conditions = filter(&self.conditions(scope));
        let items: Vec<Item> = (0..self.dice.between(1, 4)).map(|_| self.item(scope, false)).collect();
        self.finished(format!("SELECT {} FROM ({inner}) AS s{conditions}", named(&items)), &items)
    }

    /// A column against one value of another table.
    fn compared_with_one(mut self, table: &'t Table) -> Query {
        let scope = Scope { alias: "a", table };
        let kind = *self.dice.pick(&[Type::Integer, Type::Time, Type::Text, Type::Money]);
        let other = self.table();
        let within = Scope { alias: "b", table: other };
        let (Some(left), Some(right)) = (self.columns(scope, &[kind]), self.columns(within, &[kind])) else { return self.rows_of(table) };
        let function = *self.dice.pick(&["min", "max"]);
        let operator = *self.dice.pick(&["=", "<>", "<", "<=", ">", ">="]);
        let inner = format!("SELECT {function}({}) FROM {} AS b{}", right[0].text, other.qualified(), filter(&self.conditions(within)));
        let mut conditions = self.conditions(scope);
        conditions.push(format!("{} {operator} ({inner})", left[0].text));
        let items: Vec<Item> = (0..self.dice.between(1, 4)).map(|_| self.item(scope, false)).collect();
        self.finished(format!("SELECT {} FROM {} AS a{}", named(&items), table.qualified(), filter(&conditions)), &items)
    }

    /// What makes no sense, and must be told alike.
    pub(super) fn fault(mut self) -> Query {
        let table = self.table();
        let scope = Scope { alias: "a", table };
        let column = self.dice.pick(&table.columns);
        let (from, name) = (table.qualified(), scope.name(column));
        let condition = compare(&mut self.dice, &name, column, None);
        let body = match self.dice.below(6) {
            0 => format!("SELECT a.nothing_of_that_name FROM {from} AS a WHERE {condition}"),
            1 => format!("SELECT no_such_function({name}) FROM {from} AS a WHERE {condition}"),
            2 => format!("SELECT {name}, count(*) FROM {from} AS a WHERE {condition}"),
            3 => format!("SELECT {name} FROM {}.nothing AS a WHERE {condition}", table.schema),
            4 => format!("SELECT {name} FROM {from} AS a WHERE {condition} ORDER BY 7"),
            _ => format!("SELECT {name} FROM {from} AS a WHERE"),
        };
        self.finished(body, &[])
    }
}
