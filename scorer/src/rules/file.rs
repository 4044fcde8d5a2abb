//! From the text of a ruleset file to a ruleset, or to everything that is wrong with it.
//!
//! In four steps, each of which goes on past what it finds: the TOML is read; names, kinds and ranges are compared with what
//! the ruleset knows ([`Shape`]); what is left is deserialised, and where that fails the offending value is told, cut out and
//! the rest tried again; then the meaning is checked ([`checks`]). What a file does not name has its default.
//!
//! What must stay true: a ruleset comes out only where there is no fault at all; no text makes this panic or run long.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::nearest::suggestion;
use super::shape::{Kind, Shape};
use super::{checks, quoted};
use crate::engine::Ruleset;

/// Longest file, in bytes.
const LONGEST: usize = 1 << 20;
/// Faults that are told at once.
const MOST_FAULTS: usize = 100;

/// Something that is wrong with a ruleset file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesetFault {
    /// Line, from one on.
    pub line: usize,
    /// Column in characters, from one on.
    pub column: usize,
    /// Characters that it speaks of, at least one.
    pub width: usize,
    /// The setting, as `caps.amount` or `rules[0].when`; empty where the file as a whole is meant.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for RulesetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl RulesetFault {
    /// `rules.toml:12:9: limits: …`, the line itself and a mark below it.
    #[must_use]
    pub fn render(&self, file: &str, text: &str) -> String {
        let mut out = format!("{file}:{self}");
        if let Some(line) = text.lines().nth(self.line.saturating_sub(1)).filter(|line| !line.trim().is_empty()) {
            // The same tabs before the mark as before what it marks.
            let before: String = line.chars().take(self.column.saturating_sub(1)).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            let marks = "^".repeat(self.width.max(1));
            // Writing to a string does not fail.
            if write!(out, "\n{:>5} | {line}\n{:>5} | {before}{marks}", self.line, "").is_err() {
                out.push('?');
            }
        }
        out
    }
}

/// Reads a ruleset file.
///
/// # Errors
/// All its faults, in the order of the text; at most a hundred.
pub fn parse(text: &str) -> Result<Ruleset, Vec<RulesetFault>> {
    let mut reading = Reading { text, places: BTreeMap::new(), faults: Vec::new() };
    let ruleset = reading.ruleset();
    let mut faults = reading.faults;
    match ruleset {
        Some(ruleset) if faults.is_empty() => Ok(ruleset),
        _ => {
            faults.sort_by(|a, b| (a.line, a.column, &a.path).cmp(&(b.line, b.column, &b.path)));
            faults.truncate(MOST_FAULTS);
            Err(faults)
        }
    }
}

/// One step of a path.
#[derive(Clone, Debug)]
enum Step {
    Name(String),
    Item(usize),
}

/// `rules[0].when`
fn shown(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Name(name) if out.is_empty() => out.push_str(name),
            Step::Name(name) => {
                out.push('.');
                out.push_str(name);
            }
            Step::Item(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

/// Where a value stands in the file.
#[derive(Clone, Debug)]
struct Place {
    steps: Vec<Step>,
    key: Range<usize>,
    value: Range<usize>,
}

struct Reading<'t> {
    text: &'t str,
    places: BTreeMap<String, Place>,
    faults: Vec<RulesetFault>,
}

impl<'t> Reading<'t> {
    fn fault(&mut self, span: Range<usize>, path: String, message: impl Into<String>) {
        let start = floor(self.text, span.start);
        let end = floor(self.text, span.end).max(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[..line_start].matches('\n').count() + 1;
        let column = self.text[line_start..start].chars().count() + 1;
        let width = self.text[start..end].lines().next().unwrap_or_default().chars().count().max(1);
        self.faults.push(RulesetFault { line, column, width, path, message: message.into() });
    }

    fn ruleset(&mut self) -> Option<Ruleset> {
        if self.text.len() > LONGEST {
            self.fault(0..0, String::new(), format!("the file has {} bytes; at most {LONGEST} are read", self.text.len()));
            return None;
        }
        let (document, errors) = DeTable::parse_recoverable(self.text);
        if !errors.is_empty() {
            for error in errors {
                self.fault(error.span().unwrap_or(0..0), String::new(), format!("no TOML: {}", error.message()));
            }
            return None;
        }
        let mut table = document.into_inner();
        let shape = Shape::of_ruleset()?;
        let mut wrong = Vec::new();
        self.compare_table(&table, shape, &mut Vec::new(), &mut wrong);
        for steps in &wrong {
            cut(&mut table, steps);
        }
        let mut ruleset = self.deserialised(table)?;
        for (name, prior) in Ruleset::default().priors.overall {
            ruleset.priors.overall.entry(name).or_insert(prior);
        }
        for finding in checks::findings(&ruleset) {
            self.meaning(finding);
        }
        Some(ruleset)
    }

    /// Remembers where everything stands; tells unknown names, wrong kinds and numbers out of range, and collects them.
    fn compare_table(&mut self, table: &DeTable<'t>, shape: Shape, steps: &mut Vec<Step>, wrong: &mut Vec<Vec<Step>>) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            steps.push(Step::Name(name.to_owned()));
            self.places.insert(shown(steps), Place { steps: steps.clone(), key: key.span(), value: value.span() });
            match shape.under(name) {
                Some(inner) => self.compare(value, inner, steps, wrong),
                None => {
                    self.fault(key.span(), shown(steps), format!("there is no such setting here{}", suggestion(name, &shape.names())));
                    wrong.push(steps.clone());
                }
            }
            steps.pop();
        }
    }

    fn compare(&mut self, value: &Spanned<DeValue<'t>>, shape: Shape, steps: &mut Vec<Step>, wrong: &mut Vec<Vec<Step>>) {
        let message = match (shape.kind(), value.get_ref()) {
            (Kind::Table, DeValue::Table(table)) => {
                self.compare_table(table, shape, steps, wrong);
                None
            }
            (Kind::List, DeValue::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    steps.push(Step::Item(index));
                    self.places.insert(shown(steps), Place { steps: steps.clone(), key: item.span(), value: item.span() });
                    if let Some(inner) = shape.items() {
                        self.compare(item, inner, steps, wrong);
                    }
                    steps.pop();
                }
                None
            }
            (_, value) => shape.unfit(value),
        };
        if let Some(message) = message {
            // A section is told by its header, a value by itself.
            let path = shown(steps);
            let span = value.span();
            self.fault(span, path, message);
            wrong.push(steps.clone());
        }
    }

    /// Deserialises, cutting out whatever does not, until the rest does.
    fn deserialised(&mut self, mut table: DeTable<'t>) -> Option<Ruleset> {
        for _ in 0..MOST_FAULTS {
            let error = match Ruleset::deserialize(Deserializer::from(Spanned::new(0..0, table.clone()))) {
                Ok(ruleset) => return Some(ruleset),
                Err(error) => error,
            };
            let span = error.span().unwrap_or(0..0);
            let found = self.places.values().filter(|place| place.value == span || place.key == span).max_by_key(|place| place.steps.len());
            let (path, steps) = found.map(|place| (shown(&place.steps), place.steps.clone())).unwrap_or_default();
            // Where the span is no place of ours, or was cut out before, going on would go in a circle.
            let known = cut(&mut table, &steps);
            self.fault(span, path, error.message());
            if !known {
                return None;
            }
        }
        None
    }

    /// Tells what the checks found, at the place of the setting, or of the nearest one around it that the file names.
    fn meaning(&mut self, finding: checks::Finding) {
        let told = |fault: &RulesetFault| fault.path == finding.path || finding.path.strip_prefix(fault.path.as_str()).is_some_and(|rest| rest.starts_with(['.', '[']));
        // What was told already and cut out would be told again as what its default is not.
        if self.faults.iter().any(|fault| !fault.path.is_empty() && told(fault)) {
            return;
        }
        let mut around = finding.path.as_str();
        loop {
            if let Some(place) = self.places.get(around) {
                let exact = around == finding.path;
                let mut span = if exact && !finding.at_key { place.value.clone() } else { place.key.clone() };
                if let (true, Some(offset)) = (exact, finding.offset) {
                    let raw = self.text.get(span.clone()).unwrap_or_default();
                    let start = span.start + quoted::place(raw, offset);
                    let word = self.text.get(start..span.end).map_or(1, |rest| rest.find(|c: char| !(c.is_alphanumeric() || "_.".contains(c))).unwrap_or(1).max(1));
                    span = start..start + word;
                }
                self.fault(span, finding.path, finding.message);
                return;
            }
            match around.rfind(['.', '[']) {
                Some(end) => around = &around[..end],
                None => break,
            }
        }
        self.fault(0..0, finding.path, finding.message);
    }
}

/// The character boundary at or before a place.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// Takes a value out, or the whole list that it is an item of; whether it was there.
fn cut(table: &mut DeTable<'_>, steps: &[Step]) -> bool {
    let [Step::Name(name), rest @ ..] = steps else { return false };
    if !rest.iter().any(|step| matches!(step, Step::Name(_))) {
        return table.remove(name.as_str()).is_some();
    }
    let mut value = table.get_mut(name.as_str()).map(Spanned::get_mut);
    let mut rest = rest;
    loop {
        match (value, rest) {
            (Some(DeValue::Array(items)), [Step::Item(index), behind @ ..]) => {
                value = items.get_mut(*index).map(Spanned::get_mut);
                rest = behind;
            }
            (Some(DeValue::Table(inner)), _) => return cut(inner, rest),
            _ => return false,
        }
    }
}
