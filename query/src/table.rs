//! One table of SQL over whatever can be scanned. What is computed of tables in the stores themselves ([`crate::aggregates`],
//! [`crate::joins`]) is read the same way.
//!
//! What must stay true: a filter that is reported `Exact` is answered as SQL would answer it; a limit reaches a scan only
//! when every filter below it is exact; planning asks a store nothing but how many rows it has, and never on a runtime thread.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::aggregate::Aggregation;
use crate::cut::{Cut, CutRule};
use crate::errors::QueryError;
use crate::exec::{ScanExec, Sink};
use crate::predicate::Predicate;
use crate::pushdown;
use crate::shape::Shape;
use crate::unavailable;

/// How well a store answers a predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    /// As SQL would.
    Exact,
    /// It may let through rows that SQL would not; they are checked again above.
    Inexact,
    /// Not at all.
    No,
}

/// A column to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Its place in the full schema.
    pub(crate) column: usize,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// What is asked of a scan.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// Places of the wanted columns in the full schema, in the order of the answer; empty when only their number is wanted.
    pub(crate) projection: Vec<usize>,
    /// All must hold.
    pub(crate) predicates: Vec<Predicate>,
    /// Empty: any order will do.
    pub(crate) order: Vec<Order>,
    /// No more rows than this are wanted; never set above a predicate that the scan answers inexactly.
    pub(crate) limit: Option<usize>,
    /// Into how many parts the scan may be divided.
    pub(crate) parts: usize,
}

/// What a store knows of a relation without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    /// About how many rows.
    pub(crate) rows: Option<usize>,
    /// First and last row key of each stream partition, where rows have such keys.
    pub(crate) keys: Vec<(i64, i64)>,
}

/// A relation that a store can scan.
pub(crate) trait Scan: Any + Debug + Send + Sync {
    /// Every column.
    fn schema(&self) -> SchemaRef;

    /// How well the store answers `predicate`; an error where it can never be answered.
    fn support(&self, predicate: &Predicate) -> Result<Support, QueryError>;

    /// Whether the store returns rows in this order cheaply.
    fn sorts(&self, order: &[Order]) -> bool;

    /// Whether the first rows in this order are the same in the store as in SQL, whatever it takes to find them.
    fn ranks(&self, order: &[Order]) -> bool {
        self.sorts(order)
    }

    /// Whether no two rows have the same value in this column.
    fn is_unique(&self, column: usize) -> bool;

    /// Looks at the store. Blocks.
    fn survey(&self) -> Result<Survey, QueryError>;

    /// What was seen a moment ago, where that is remembered. Does not block.
    fn surveyed(&self) -> Option<Survey> {
        None
    }

    /// The native query for `request`. Pure.
    fn prepare(&self, request: &Request, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError>;

    /// Whether the store computes this exactly as SQL does. All of the request's predicates are exact; its projection and order are empty,
    /// and it has no limit.
    fn aggregates(&self, _request: &Request, _aggregation: &Aggregation) -> bool {
        false
    }

    /// The native query, whose batches have the aggregation's schema. Pure. Only called where `aggregates` said yes.
    fn prepare_aggregate(&self, _request: &Request, _aggregation: &Aggregation, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        Err(QueryError::internal("a store was asked for aggregates that it does not compute"))
    }

    /// This relation and another one of the same store as one, of which the columns of this one come first. Rows belong together where the
    /// columns of each pair are equal; NULL is equal to nothing. `None` where the store cannot be asked for both at once.
    fn joined(&self, _other: &Arc<dyn Scan>, _on: &[(usize, usize)]) -> Option<Arc<dyn Scan>> {
        None
    }
}

/// A native query, ready to run.
pub(crate) trait Prepared: Debug + Send + Sync {
    /// Its text, for EXPLAIN.
    fn text(&self) -> String;

    /// Into how many parts it is divided; at least one.
    fn parts(&self) -> usize;

    /// Runs one part, with conditions that became known only now, and hands over its batches. Blocks.
    fn run(&self, part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError>;
}

/// Whether stores are asked for more than their rows. Without it they are asked for nothing but what only they can tell, so that what they
/// compute can be compared with what DataFusion does. See [`Pushdown::applied`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pushdown(pub(crate) bool);

impl Default for Pushdown {
    fn default() -> Self {
        Pushdown(true)
    }
}

/// What rows come from, before anything is asked of them.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Its name, for EXPLAIN.
    pub(crate) name: String,
    /// How it is read.
    pub(crate) scan: Arc<dyn Scan>,
    /// How its parts are read as of a cut: each with the scan's schema, in which only the part's own columns are named as in SQL.
    pub(crate) cuts: Vec<(CutRule, SchemaRef)>,
}

impl Origin {
    /// What a filter asks and how well it is answered; `None` where the store is not asked. Columns are those of `schema`, which has as many
    /// as the scan's own.
    pub(crate) fn understood(&self, filter: &Expr, schema: &SchemaRef) -> Result<Option<(Predicate, Support)>> {
        let Some(predicate) = pushdown::translate(filter, schema) else { return Ok(None) };
        let support = self.scan.support(&predicate)?;
        Ok((support != Support::No).then_some((predicate, support)))
    }

    /// What the session's cut asks, where it has one.
    pub(crate) fn cut(&self, state: &dyn Session) -> Vec<Predicate> {
        let cut = state.config().get_extension::<Cut>();
        cut.map(|cut| self.cuts.iter().filter_map(|(rule, schema)| cut.predicate(*rule, schema)).collect()).unwrap_or_default()
    }

    /// What the store knows of its rows; nothing where it is down and the session would have the others' rows.
    pub(crate) async fn survey(&self, state: &dyn Session) -> Result<Survey> {
        if let Some(survey) = self.scan.surveyed() {
            return Ok(survey);
        }
        let scan = Arc::clone(&self.scan);
        let surveyed = tokio::task::spawn_blocking(move || scan.survey()).await.map_err(|e| DataFusionError::ExecutionJoin(Box::new(e)))?;
        Ok(unavailable::surveyed(surveyed, &self.name, state.config())?)
    }
}

/// A table or view of the catalog.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    /// Its schema in SQL.
    pub(crate) schema_name: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// One line on what it holds.
    pub(crate) description: String,
    /// How it is read as of a cut.
    pub(crate) cut: CutRule,
    /// Whether SQL calls it a view.
    pub(crate) is_view: bool,
    /// How it is read.
    pub(crate) scan: Arc<dyn Scan>,
}

impl Relation {
    /// A relation of a shape, read by `scan`.
    pub(crate) fn new(schema_name: &'static str, shape: &Shape, scan: Arc<dyn Scan>) -> Relation {
        Relation { schema_name, name: shape.name.to_owned(), description: shape.description.to_owned(), cut: shape.cut, is_view: shape.is_view, scan }
    }

    /// What its rows come from.
    pub(crate) fn origin(&self) -> Origin {
        Origin { name: self.qualified_name(), scan: Arc::clone(&self.scan), cuts: vec![(self.cut, self.scan.schema())] }
    }

    /// `ledger.transactions`
    pub(crate) fn qualified_name(&self) -> String {
        format!("{}.{}", self.schema_name, self.name)
    }
}

#[async_trait]
impl TableProvider for Relation {
    fn schema(&self) -> SchemaRef {
        self.scan.schema()
    }

    fn table_type(&self) -> TableType {
        if self.is_view { TableType::View } else { TableType::Base }
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        supported(&self.origin(), &self.scan.schema(), filters)
    }

    async fn scan(&self, state: &dyn Session, projection: Option<&Vec<usize>>, filters: &[Expr], limit: Option<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        scanned(&self.origin(), &self.scan.schema(), state, projection, filters, limit).await
    }
}

/// How well each of the filters over the columns of `schema` is answered.
pub(crate) fn supported(origin: &Origin, schema: &SchemaRef, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
    let answer = |filter: &&Expr| -> Result<TableProviderFilterPushDown> {
        Ok(match origin.understood(filter, schema)? {
            Some((_, Support::Exact)) => TableProviderFilterPushDown::Exact,
            Some((_, Support::Inexact)) => TableProviderFilterPushDown::Inexact,
            Some((_, Support::No)) | None => TableProviderFilterPushDown::Unsupported,
        })
    };
    filters.iter().map(answer).collect()
}

/// The scan of what the filters over the columns of `schema` let through.
pub(crate) async fn scanned(
    origin: &Origin,
    schema: &SchemaRef,
    state: &dyn Session,
    projection: Option<&Vec<usize>>,
    filters: &[Expr],
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut predicates = Vec::with_capacity(filters.len());
    let mut rechecked = Vec::new();
    for filter in filters {
        let Some((predicate, support)) = origin.understood(filter, schema)? else {
            return Err(QueryError::internal(format!("{} was given a filter that it does not take: {filter}", origin.name)).into());
        };
        if support == Support::Inexact {
            rechecked.push(filter.to_string());
        }
        predicates.push(predicate);
    }
    predicates.extend(origin.cut(state));
    let request = Request {
        projection: projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect()),
        predicates,
        order: Vec::new(),
        limit: limit.filter(|_| rechecked.is_empty()),
        // A limited scan is ended early, which one part does best.
        parts: if limit.is_some() { 1 } else { state.config().target_partitions() },
    };
    let survey = origin.survey(state).await?;
    Ok(Arc::new(ScanExec::new(origin.name.clone(), Arc::clone(&origin.scan), request, survey, rechecked)?))
}
