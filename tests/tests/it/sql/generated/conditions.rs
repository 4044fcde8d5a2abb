//! Conditions over the columns of one table: every operator and function that is pushed, and others that never are.
//!
//! What must stay true: no condition can fail for some rows and not for others, since what a store is asked decides which rows are looked at.

use super::catalog::{Column, Table, Type, Value};
use super::dice::Dice;
use super::literals::{literal, plain, quoted, value};

/// Whether `@>` is known to the planner.
const JSON_CONTAINS: bool = true;
const OPERATORS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];
const KEYS: [&str; 14] = ["ip", "IP", "a", "b", "a.b", "", "n", "text", "ключ", "amount", "missing", "stage", "rule", "$set"];
const CONTAINED: [&str; 8] = ["{}", r#"{"ip":"10.0.0.1"}"#, r#"{"ip":null}"#, r#"{"ip":5}"#, r#"{"a":[1]}"#, r#"{"a":{"b":{}}}"#, "[]", r#"{"a":1.5}"#];

/// A table under its name in a query.
#[derive(Clone, Copy)]
pub(super) struct Scope<'t> {
    pub(super) alias: &'t str,
    pub(super) table: &'t Table,
}

impl Scope<'_> {
    pub(super) fn name(&self, column: &Column) -> String {
        format!("{}.\"{}\"", self.alias, column.name)
    }
}

/// Any condition, nested no deeper than this.
pub(super) fn condition(dice: &mut Dice, scope: Scope<'_>, depth: usize) -> String {
    let form = if depth == 0 { 0 } else { dice.weighted(&[52, 14, 16, 9, 9]) };
    match form {
        0 => leaf(dice, scope),
        1 => several(dice, scope, depth, " AND "),
        2 => several(dice, scope, depth, " OR "),
        3 => format!("NOT ({})", condition(dice, scope, depth - 1)),
        _ => {
            let (inner, negated, truth) = (condition(dice, scope, depth - 1), *dice.pick(&["", "NOT "]), *dice.pick(&["TRUE", "FALSE", "UNKNOWN"]));
            format!("({inner}) IS {negated}{truth}")
        }
    }
}

fn several(dice: &mut Dice, scope: Scope<'_>, depth: usize, word: &str) -> String {
    let members: Vec<String> = (0..dice.between(2, 3)).map(|_| condition(dice, scope, depth - 1)).collect();
    format!("({})", members.join(word))
}

/// A condition on one column, or on few.
pub(super) fn leaf(dice: &mut Dice, scope: Scope<'_>) -> String {
    let column = dice.pick(&scope.table.columns);
    let name = scope.name(column);
    if column.is_json && dice.percent(45) {
        return json(dice, &name);
    }
    match column.kind {
        Type::Flag => flag(dice, &name),
        kind => match dice.weighted(&[36, 14, 6, 6, 7, 5, if kind == Type::Text { 22 } else { 0 }, 10]) {
            0 => compare(dice, &name, column, None),
            1 => list(dice, &name, column, 1),
            2 => format!("{name} IS {}NULL", dice.pick(&["", "NOT "])),
            3 => distinct(dice, &name, column),
            4 => format!("{name} {}BETWEEN {} AND {}", dice.pick(&["", "NOT "]), literal(dice, column), literal(dice, column)),
            5 => format!("{} {} {name}", literal(dice, column), dice.pick(&OPERATORS)),
            6 => like(dice, &name, column),
            _ => computed(dice, scope, column),
        },
    }
}

/// `column op literal`.
pub(super) fn compare(dice: &mut Dice, name: &str, column: &Column, operator: Option<&str>) -> String {
    let operator = operator.unwrap_or_else(|| *dice.pick(&OPERATORS));
    // What is asked for should be there, too: a neighbour of a text is hardly ever one.
    let right = if dice.percent(40) { plain(dice, column) } else { literal(dice, column) };
    format!("{name} {operator} {right}")
}

/// `column IN (…)`, of at least so many values.
pub(super) fn list(dice: &mut Dice, name: &str, column: &Column, least: usize) -> String {
    let count = dice.between(least, least + 5);
    let mut values: Vec<String> = (0..count).map(|_| plain(dice, column)).collect();
    if least == 1 && dice.percent(15) {
        values.push("NULL".to_owned());
    }
    format!("{name} {}IN ({})", dice.pick(&["", "", "NOT "]), values.join(", "))
}

fn distinct(dice: &mut Dice, name: &str, column: &Column) -> String {
    let right = if dice.percent(20) { "NULL".to_owned() } else { literal(dice, column) };
    format!("{name} IS {}DISTINCT FROM {right}", dice.pick(&["", "NOT "]))
}

fn flag(dice: &mut Dice, name: &str) -> String {
    let form = *dice.pick(&[
        "# ",
        "NOT #",
        "# = TRUE",
        "# = FALSE",
        "# <> TRUE",
        "# <> FALSE",
        "FALSE = #",
        "# IS TRUE",
        "# IS NOT TRUE",
        "# IS FALSE",
        "# IS NOT FALSE",
        "# IS UNKNOWN",
        "# IS NULL",
        "# IN (TRUE, FALSE)",
        "# > FALSE",
        "# IS DISTINCT FROM FALSE",
    ]);
    form.replace('#', name)
}

/// A part of a text that stands in the column.
fn part(dice: &mut Dice, column: &Column, from_start: bool) -> String {
    let Value::Text(text) = value(dice, column) else { return String::new() };
    let characters: Vec<char> = text.chars().collect();
    let first = if from_start { 0 } else { dice.below(characters.len() + 1) };
    let count = dice.below((characters.len() - first + 1).min(7));
    characters[first..first + count].iter().collect()
}

/// `LIKE` with wildcards in all places.
fn like(dice: &mut Dice, name: &str, column: &Column) -> String {
    let word = *dice.pick(&["LIKE", "LIKE", "LIKE", "NOT LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"]);
    let pattern = match dice.below(10) {
        0 => plain_pattern(&part(dice, column, true)),
        1 | 2 => format!("{}%", plain_pattern(&part(dice, column, true))),
        3 | 4 => format!("%{}%", plain_pattern(&part(dice, column, false))),
        5 => format!("%{}", plain_pattern(&part(dice, column, false))),
        6 => format!("{}_{}%", plain_pattern(&part(dice, column, true)), plain_pattern(&part(dice, column, false))),
        7 => format!("%{}%{}%", plain_pattern(&part(dice, column, false)), plain_pattern(&part(dice, column, false))),
        8 => format!("%{}%", part(dice, column, false).replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")),
        _ => (*dice.pick(&["", "%", "%%", "_", "__", "%\n%", "_%"])).to_owned(),
    };
    format!("{name} {word} {}", quoted(&pattern))
}

/// A text as a pattern, in which a backslash does not stand alone before the end.
fn plain_pattern(text: &str) -> String {
    text.replace('\\', "\\\\")
}

/// `starts_with` or `contains`, said by `LIKE` without other wildcards.
pub(super) fn plain_like(dice: &mut Dice, name: &str, column: &Column, from_start: bool) -> String {
    let text = part(dice, column, from_start).replace(['%', '_', '\\'], "");
    let text = if text.is_empty() { "t".to_owned() } else { text };
    let negated = *dice.pick(&["", "NOT "]);
    if from_start { format!("{name} {negated}LIKE {}", quoted(&format!("{text}%"))) } else { format!("{name} {negated}LIKE {}", quoted(&format!("%{text}%"))) }
}

/// What no store is asked.
fn computed(dice: &mut Dice, scope: Scope<'_>, column: &Column) -> String {
    let name = scope.name(column);
    let alike = scope.table.which(|other| other.kind == column.kind && other.name != column.name);
    if !alike.is_empty() && dice.percent(30) {
        let other = scope.name(&scope.table.columns[*dice.pick(&alike)]);
        return format!("{name} {} {other}", dice.pick(&OPERATORS));
    }
    match column.kind {
        Type::Text => match dice.below(5) {
            0 => format!("lower({name}) = lower({})", plain(dice, column)),
            1 => format!("character_length({name}) > {}", dice.below(12)),
            2 => format!("coalesce({name}, 'none') <> {}", literal(dice, column)),
            3 => format!("{name} || 'x' >= {}", literal(dice, column)),
            _ => format!("CASE WHEN {name} IS NULL THEN TRUE ELSE {name} > {} END", literal(dice, column)),
        },
        Type::Integer if !column.is_wide => match dice.below(3) {
            0 => format!("{name} % 7 = {}", dice.below(7)),
            1 => format!("CAST({name} AS TEXT) LIKE '{}%'", dice.below(10)),
            _ => format!("abs({name}) > {}", dice.below(80)),
        },
        Type::Time => match dice.below(4) {
            0 => format!("extract(hour FROM {name}) = {}", dice.below(24)),
            1 => format!("date_trunc('{}', {name}) = {}", dice.pick(&["second", "hour", "day", "month"]), plain(dice, column)),
            2 => format!("extract(year FROM {name}) > {}", dice.pick(&[1, 1970, 2025, 9998])),
            _ => format!("CAST({name} AS DATE) = DATE '2026-03-29'"),
        },
        Type::Money => format!("{name} * 2 > {}", plain(dice, column)),
        _ => format!("{name} IS NOT NULL OR {name} > {}", plain(dice, column)),
    }
}

/// Into JSON, one or two members deep.
fn json(dice: &mut Dice, name: &str) -> String {
    if JSON_CONTAINS && dice.percent(30) {
        return format!("{name} @> '{}'", dice.pick(&CONTAINED));
    }
    let member = if dice.percent(80) { quoted(*dice.pick(&KEYS)) } else { (*dice.pick(&["0", "1", "-1"])).to_owned() };
    let path = match dice.below(4) {
        0 => format!("{name}->{}->>{member}", quoted(*dice.pick(&KEYS))),
        1 => format!("{name}->0->>{member}"),
        _ => format!("{name}->>{member}"),
    };
    match dice.below(6) {
        0 => format!("({path}) IS {}NULL", dice.pick(&["", "NOT "])),
        1 => format!("({path}) <> '10.0.0.1'"),
        2 => format!("({path}) IN ('10.0.0.1', '5', 'true', '', '1.5', '[1,2,3]')"),
        3 => format!("({path}) LIKE '1%'"),
        4 => format!("TRY_CAST(({path}) AS BIGINT) > 1"),
        _ => format!("({path}) = {}", quoted(*dice.pick(&["10.0.0.1", "5", "", "true", "night", "1.50", "значение"]))),
    }
}
