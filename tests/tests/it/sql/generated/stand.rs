//! The three who are asked, and one query asked of all of them.
//!
//! What must stay true: the rows in memory are those that the stores gave without push-down, read once; a difference is told with all that is
//! needed to see it again.

use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use futures::TryStreamExt;
use tokio::time::timeout;
use wh_query::{MemoryTable, Oracle, Principal, QueryError, Session, Way};

use super::branches::{Branch, Pushed, pushed, required};
use super::catalog::Table;
use super::compare::{Answer, Outcome, difference};
use super::dice::Dice;
use super::fixture::Place;
use super::matching::{Analysed, analysed};
use super::queries::{Maker, Query};
use crate::sql;

/// Numbers from which on queries are aimed at a branch.
pub(super) const AIMED: u64 = 1 << 40;
/// How many numbers a branch has.
const OF_ONE: u64 = super::ROUNDS * super::AIMS;
/// How long one query may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Schemas of the tables that sinks and stages write.
const SCHEMAS: [&str; 6] = ["ledger", "documents", "metrics", "baselines", "search", "log"];

/// What became of one query.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) number: u64,
    pub(super) sql: String,
    pub(super) pushed: Pushed,
    /// Whether all three said that it cannot be answered.
    pub(super) is_error: bool,
    /// What is different, in full.
    pub(super) fault: Option<String>,
}

/// Those who are asked.
pub(super) struct Stand {
    seed: u64,
    on: Session,
    off: Session,
    memory: Oracle,
    tables: Vec<Table>,
    alerts: Vec<Analysed>,
    branches: Vec<Branch>,
}

impl Stand {
    /// Reads every table once.
    pub(super) async fn open(place: &Place, seed: u64) -> Stand {
        let engine = place.engine();
        let (on, off) = (engine.session(Principal::local(Way::Cli)), engine.session(Principal::local(Way::Cli)));
        off.set("wardhouse.pushdown", "off").unwrap();
        let (mut tables, mut held, mut alerts) = (Vec::new(), Vec::new(), Vec::new());
        for info in engine.tables().into_iter().filter(|info| SCHEMAS.contains(&info.schema.as_str())) {
            let result = off.query(&format!("SELECT * FROM {}.{}", info.schema, info.name)).await.unwrap();
            let columns = result.schema;
            let rows: Vec<RecordBatch> = result.stream.try_collect().await.unwrap_or_else(|error| panic!("{}.{}: {error}", info.schema, info.name));
            let table = Table::of(&info.schema, &info.name, &columns, &rows);
            if table.qualified() == "search.alerts" {
                alerts = analysed(rows.iter().flat_map(texts));
            }
            held.push(MemoryTable { schema: info.schema, name: info.name, columns, rows });
            tables.push(table);
        }
        let memory = Oracle::over(&sql::settings(), held).unwrap();
        Stand { seed, on, off, memory, tables, alerts, branches: required(place.servers) }
    }

    fn query(&self, number: u64) -> Query {
        let maker = Maker::new(Dice::new(self.seed, number), &self.tables);
        match number.checked_sub(AIMED) {
            None => maker.query(),
            Some(aim) => maker.aimed(&self.branches[usize::try_from(aim / OF_ONE).unwrap()]),
        }
    }

    /// What EXPLAIN says of a query.
    pub(super) async fn plan(&self, sql: &str) -> String {
        let Ok(explained) = answer(&self.on, &format!("EXPLAIN {sql}")).await else { return String::new() };
        explained.text()
    }

    /// Asks all three.
    pub(super) async fn ask(&self, number: u64) -> Report {
        let query = self.query(number);
        let sql = query.asked();
        match timeout(LIMIT, self.compared(&query, &sql)).await {
            Ok((pushed, is_error, difference)) => {
                let fault = difference.map(|what| format!("query {number} of seed {}: {what}\n{sql}\n", self.seed));
                let plan = if fault.is_some() { self.plan(&sql).await } else { String::new() };
                Report { number, pushed, is_error, fault: fault.map(|fault| format!("{fault}{plan}")), sql }
            }
            Err(late) => Report { number, pushed: Pushed::default(), is_error: true, fault: Some(format!("query {number} of seed {}: {late}\n{sql}", self.seed)), sql },
        }
    }

    async fn compared(&self, query: &Query, sql: &str) -> (Pushed, bool, Option<String>) {
        let plan = self.plan(sql).await;
        let pushed = pushed(&plan, &self.tables, !query.order.is_empty());
        let (on, off) = (answer(&self.on, sql).await, answer(&self.off, sql).await);
        let memory = self.from_memory(query, true).await;
        let every = if query.is_limited() { self.from_memory(query, false).await.ok() } else { None };
        let mut differences = Vec::new();
        for (whose, wanted, found) in [("push-down on against off", &off, &on), ("push-down off against memory", &memory, &off), ("push-down on against memory", &memory, &on)] {
            differences.extend(difference(query, wanted, found, every.as_ref()).map(|what| format!("{whose}: {what}")));
        }
        if let (Ok(on), Ok(off)) = (&on, &off)
            && on.names != off.names
        {
            differences.push(format!("names {:?} instead of {:?}", on.names, off.names));
        }
        if let (true, Err(error)) = (number_debug(), &on) { println!("FAILS {error} :: {sql}"); }
        let what = (!differences.is_empty()).then(|| differences.join("\n"));
        (pushed, on.is_err() && off.is_err() && memory.is_err(), what)
    }

    async fn from_memory(&self, query: &Query, is_limited: bool) -> Outcome {
        let (schema, rows) = self.memory.query(&query.in_memory(&self.alerts, is_limited)).await?;
        Ok(Answer::of(&schema, &rows))
    }
}

async fn answer(session: &Session, sql: &str) -> Outcome {
    let result = session.query(sql).await?;
    let schema = result.schema;
    let rows: Vec<RecordBatch> = result.stream.try_collect().await.map_err(QueryError::from)?;
    Ok(Answer::of(&schema, &rows))
}

/// Id, title and message of each alert.
fn texts(batch: &RecordBatch) -> Vec<[String; 3]> {
    let column = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>();
    let columns = [column("alert_id"), column("title"), column("message")];
    (0..batch.num_rows()).map(|row| columns.map(|column| column.value(row).to_owned())).collect()
}

fn number_debug() -> bool { true }
