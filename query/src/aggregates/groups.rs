//! The groups of a scan's rows, as a table.
//!
//! What must stay true: what is asked of the rows is asked before they are grouped: the scan's own filters, those on what they are grouped
//! by, and the session's cut.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

use crate::aggregate::Aggregation;
use crate::errors::QueryError;
use crate::exec::ScanExec;
use crate::predicate::Predicate;
use crate::table::{Origin, Request, Support};

/// An aggregation of what some predicates let through.
#[derive(Debug)]
pub(super) struct GroupsTable {
    pub(super) origin: Origin,
    /// The names of the origin's columns, which groups have too that are columns.
    pub(super) rows: SchemaRef,
    pub(super) predicates: Vec<Predicate>,
    pub(super) aggregation: Aggregation,
}

#[async_trait]
impl TableProvider for GroupsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.aggregation.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| -> Result<TableProviderFilterPushDown> {
            Ok(if self.of_rows(filter)?.is_some() { TableProviderFilterPushDown::Exact } else { TableProviderFilterPushDown::Unsupported })
        };
        filters.iter().map(answer).collect()
    }

    async fn scan(&self, state: &dyn Session, projection: Option<&Vec<usize>>, filters: &[Expr], _limit: Option<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        let mut predicates = self.predicates.clone();
        for filter in filters {
            let Some(predicate) = self.of_rows(filter)? else {
                return Err(QueryError::internal(format!("the groups of {} were given a filter that they do not take: {filter}", self.origin.name)).into());
            };
            predicates.push(predicate);
        }
        predicates.extend(self.origin.cut(state));
        let wanted = projection.cloned().unwrap_or_else(|| (0..self.aggregation.schema.fields().len()).collect());
        let (aggregation, kept) = self.aggregation.pruned(&wanted);
        let request = Request { projection: Vec::new(), predicates, order: Vec::new(), limit: None, parts: 1 };
        if !self.origin.scan.aggregates(&request, &aggregation) {
            let message = format!("{} does not compute aggregates over what this query reads", self.origin.name);
            return Err(QueryError::Refused { message, hint: Some("SET wardhouse.pushdown = 'off' computes them here".to_owned()) }.into());
        }
        let survey = self.origin.survey(state).await?;
        let scan: Arc<dyn ExecutionPlan> = Arc::new(ScanExec::aggregated(self.origin.name.clone(), Arc::clone(&self.origin.scan), request, aggregation, survey)?);
        if wanted == kept {
            return Ok(scan);
        }
        let schema = scan.schema();
        let column = |index: &usize| {
            let at = kept.iter().position(|kept| kept == index)?;
            let name = schema.field(at).name();
            Some((Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>, name.clone()))
        };
        let columns = wanted.iter().map(column).collect::<Option<Vec<_>>>().ok_or_else(|| QueryError::internal("a column of groups that there is not"))?;
        Ok(Arc::new(ProjectionExec::try_new(columns, scan)?))
    }
}

impl GroupsTable {
    /// What a filter asks of the rows: one on columns by which they are grouped keeps or drops groups as a whole. No other column of the groups
    /// is called like one of the rows.
    fn of_rows(&self, filter: &Expr) -> Result<Option<Predicate>> {
        let of_groups = |name: &str| self.aggregation.schema.index_of(name).is_ok_and(|index| self.aggregation.plain_column(index).is_some());
        let columns = filter.column_refs();
        // What no column is in says whether there is an answer at all, which without groups is more than whether there are rows.
        if columns.is_empty() || !columns.iter().all(|column| of_groups(&column.name)) {
            return Ok(None);
        }
        Ok(match self.origin.understood(filter, &self.rows)? {
            Some((predicate, Support::Exact)) => Some(predicate),
            _ => None,
        })
    }
}
