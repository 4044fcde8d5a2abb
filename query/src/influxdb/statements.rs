//! From what is asked of the points to statements of InfluxQL.
//!
//! What must stay true: pure; values are bound, never written into the text. A statement always has a bound on time, that of all times where
//! none is asked for.

use serde_json::{Map, Value as Json};
use wh_stores::influxdb::points::{OUT_OF_RANGE, SECONDS, THROUGHPUT, TIMES, time_of};

use super::dialect::{Condition, Kind, Question, kind, question};
use crate::predicate::Predicate;
use crate::shape::Shape;
use crate::table::Request;

/// The field that is read where none is wanted: a statement without one finds nothing.
pub(super) const SOME_FIELD: &str = "transactions";

/// Statements and the values that they are run with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Query {
    /// Statements separated by `; `.
    pub(crate) text: String,
    /// How many.
    pub(crate) statements: usize,
    pub(crate) parameters: Map<String, Json>,
}

impl Query {
    /// The text with its values behind it, for EXPLAIN.
    pub(crate) fn shown(&self) -> String {
        if self.statements == 0 {
            return "nothing: no point can hold these conditions".to_owned();
        }
        if self.parameters.is_empty() {
            return self.text.clone();
        }
        let values: Vec<String> = self.parameters.iter().map(|(name, value)| format!("${name}={value}")).collect();
        format!("{} [{}]", self.text, values.join(", "))
    }

    fn add(&mut self, statement: &str) {
        self.text.push_str(if self.statements > 0 { "; " } else { "" });
        self.text.push_str(statement);
        self.statements += 1;
    }

    /// Asks the points of these seconds, both included, all of which InfluxDB knows. `behind` stands behind the condition.
    pub(super) fn in_range(&mut self, columns: &str, (first, last): (i64, i64), condition: &str, behind: &str) -> Option<()> {
        if first <= last {
            let (from, until) = (time_of(first, 0)?, if last == SECONDS.1 { TIMES.1 } else { time_of(last + 1, 0)? });
            self.add(&format!("SELECT {columns} FROM \"{THROUGHPUT}\" WHERE time >= {from} AND time < {until}{condition}{behind}"));
        }
        Some(())
    }

    /// Asks the points of years that InfluxDB does not know, by their second.
    pub(super) fn out_of_range(&mut self, columns: &str, asked: &Question, condition: &str, behind: &str) {
        if asked.first >= SECONDS.0 && asked.last <= SECONDS.1 {
            return;
        }
        let mut seconds = String::new();
        for (sign, bound, is_bound) in [(">=", asked.first, asked.first != i64::MIN), ("<=", asked.last, asked.last != i64::MAX)] {
            if is_bound {
                let second = Condition::Compare { name: "second".to_owned(), sign, value: Json::from(bound) };
                seconds.push_str(" AND ");
                second.write(&mut seconds, &mut self.parameters);
            }
        }
        self.add(&format!("SELECT {columns} FROM \"{OUT_OF_RANGE}\" WHERE time >= {} AND time < {}{seconds}{condition}{behind}", TIMES.0, TIMES.1));
    }

    /// The condition, as it stands behind a bound on time.
    pub(super) fn condition(&mut self, asked: &Question) -> String {
        let mut condition = String::new();
        if asked.condition != Condition::Always {
            condition.push_str(" AND ");
            asked.condition.write(&mut condition, &mut self.parameters);
        }
        condition
    }
}

/// What can be found; nothing where no point can hold these conditions. `None` where InfluxDB cannot be asked.
pub(super) fn asked<'p>(shape: &Shape, predicates: impl IntoIterator<Item = &'p Predicate>) -> Option<Option<Question>> {
    let asked = question(shape, predicates)?;
    Some((asked.condition != Condition::Never && asked.first <= asked.last).then_some(asked))
}

/// The statements that answer `request`, `late` conditions included; without projected columns each result is one row with the
/// number of points. No statement where nothing can be found. `None` where InfluxDB cannot be asked.
pub(crate) fn query(shape: &Shape, request: &Request, late: &[Predicate]) -> Option<Query> {
    let mut query = Query::default();
    let Some(asked) = asked(shape, request.predicates.iter().chain(late))? else { return Some(query) };
    let condition = query.condition(&asked);
    let limit = request.limit.filter(|_| !request.projection.is_empty()).map(|limit| format!(" LIMIT {}", limit.max(1))).unwrap_or_default();
    let seconds = (asked.first.max(SECONDS.0), asked.last.min(SECONDS.1));
    query.in_range(&columns(shape, &request.projection, &[]), seconds, &condition, &limit)?;
    query.out_of_range(&columns(shape, &request.projection, &["second", "block"]), &asked, &condition, &limit);
    Some(query)
}

/// What a statement selects: `others` beside what these columns need.
pub(super) fn columns(shape: &Shape, wanted: &[usize], others: &[&str]) -> String {
    if wanted.is_empty() {
        return format!("count(\"{SOME_FIELD}\")");
    }
    let mut names: Vec<&str> = Vec::new();
    for column in wanted {
        if !matches!(kind(shape, *column), Kind::Time | Kind::Block) {
            names.push(shape.schema.field(*column).name());
        }
    }
    if !wanted.iter().any(|column| kind(shape, *column) == Kind::Field) {
        names.push(SOME_FIELD);
    }
    names.extend(others);
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    quoted.join(", ")
}
