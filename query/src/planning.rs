//! From a statement to a plan, and from a plan to a stream of batches.
//!
//! What must stay true: a plan is checked again before it runs; planning and computing take place on the engine's own threads (see compute),
//! reading a store on blocking ones.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::physical_plan::execute_stream;
use datafusion::sql::parser::Statement as DfStatement;

use crate::advice;
use crate::answer::caught;
use crate::bounded;
use crate::cache::{self, Key};
use crate::casts;
use crate::catalog;
use crate::cut::{self, Cut};
use crate::engine::Shared;
use crate::errors::QueryError;
use crate::floats;
use crate::fulltext;
use crate::headings;
use crate::instants;
use crate::memory;
use crate::principal::Principal;
use crate::queries::Running;
use crate::settings::{Planning, Settings};
use crate::table::{Pushdown, Relation};
use crate::unavailable::{LateNotices, Unavailable};
use crate::watch::{self, Watch};
use crate::zone;

/// A query that has begun.
pub(crate) struct Begun {
    pub(crate) stream: SendableRecordBatchStream,
    pub(crate) notices: Vec<String>,
    pub(crate) late: LateNotices,
}

impl Shared {
    /// The plan of a statement, with its placeholders, and not yet optimized.
    pub(crate) async fn logical(&self, planning: &Planning, statement: DfStatement) -> Result<LogicalPlan, QueryError> {
        let told = |error: DataFusionError| self.told(&error);
        let mut state = self.state(planning)?;
        state.mark_start_execution();
        let written = statement.clone();
        // Here a statement that asks for PostgreSQL's catalog is put in words that DataFusion knows.
        let plan = match state.statement_to_plan(statement.clone()).await {
            Err(error) if headings::is_refused(&error) => state.statement_to_plan(headings::told_apart(statement)).await,
            Err(error) if casts::is_refused(&error) => state.statement_to_plan(casts::told_apart(headings::told_apart(statement))).await,
            planned => planned,
        };
        let plan = plan.and_then(instants::coarsened).and_then(in_sql_types).map_err(|error| advice::advised(told(error), &written))?;
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan).map_err(told)?;
        Ok(plan)
    }

    /// The columns that a plan gives, told without running it.
    pub(crate) fn described(&self, planning: &Planning, plan: &LogicalPlan, parameters: &[DataType]) -> Result<SchemaRef, QueryError> {
        let told = |error: DataFusionError| self.told(&error);
        if matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_)) {
            return Ok(headings::shown(Arc::clone(plan.schema().inner())));
        }
        let mut plan = plan.clone();
        if !parameters.is_empty() {
            // NULL has the type of its parameter, and so has whatever is computed from it.
            let nulls = parameters.iter().map(ScalarValue::try_new_null).collect::<Result<Vec<_>, _>>().map_err(told)?;
            plan = plan.with_param_values(nulls).map_err(told)?;
        }
        let state = self.state(planning)?;
        let plan = floats::widened(plan).map_err(told)?;
        let analyzed = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).map_err(told)?;
        Ok(zone::shown(analyzed.schema().inner(), &planning.zone))
    }

    /// Begins to answer a plan, whose parameters have their values.
    pub(crate) async fn begin(&self, query: &Running, plan: LogicalPlan, settings: &Settings, asker: &Principal) -> Result<Begun, QueryError> {
        let told = |error: DataFusionError| self.told(&error);
        let (planning, as_of_cut) = (settings.planning(), settings.as_of_cut());
        let unavailable = settings.partial().then(|| Arc::new(Unavailable::default()));
        let late = unavailable.as_ref().map(|unavailable| unavailable.notices()).unwrap_or_default();
        let plan = floats::widened(zone::localized(plan, &planning.zone).map_err(told)?).map_err(told)?;
        // Before the cut, which is thereby known to have been made at these positions, when they are the same at the end.
        let readers = if settings.cached() && unavailable.is_none() { cache::stores(&plan, as_of_cut) } else { None };
        let positions = match readers {
            Some(roles) => cache::positions(&self.stores, roles).await?,
            None => None,
        };
        let mut state = self.state(&planning)?;
        let config = state.config_mut();
        config.set_extension(Arc::clone(&query.work));
        config.set_extension(Arc::new(asker.clone()));
        config.set_extension(self.compute.readers());
        if let Some(unavailable) = &unavailable {
            config.set_extension(Arc::clone(unavailable));
        }
        if as_of_cut {
            config.set_extension(Arc::new(self.cut_now(unavailable.clone()).await?));
        }
        state.mark_start_execution();
        let mut notices = if as_of_cut { outside_the_cut(&plan) } else { Vec::new() };
        // The plan as it was written: of an optimized one, scans may be called the same that are not.
        let key = positions.map(|positions| Key::new(plan.clone(), planning, as_of_cut, positions));
        let plan = Pushdown(settings.pushed()).applied(plan).map_err(told)?;
        let plan = state.optimize(&plan).map_err(told)?;
        fulltext::check(&plan)?;
        bounded::check(&plan).map_err(told)?;
        if let Some(rows) = bounded::batch_rows(&plan, state.config().batch_size()).map_err(told)? {
            *state.config_mut() = state.config().clone().with_batch_size(rows);
        }
        if let Some(stream) = key.as_ref().and_then(|key| self.cache.find(key)) {
            notices.push("this answer was given before: nothing that it was read from has changed".to_owned());
            return Ok(Begun { stream, notices, late });
        }
        let physical = state.query_planner().create_physical_plan(&plan, &state).await.map_err(told)?;
        let watch = Watch { stop: query.stop.clone(), deadline: query.deadline };
        let physical = watch::watched(physical, &watch).map_err(told)?;
        notices.extend(late.take());
        let context = TaskContext::from(&state);
        let context = match asker.limits.memory_bytes {
            Some(bytes) => context.with_runtime(memory::bounded(state.runtime_env(), bytes)),
            None => context,
        };
        let schema = physical.schema();
        let stream = caught(schema, execute_stream(physical, Arc::new(context)).map_err(told)?);
        let stream = match key {
            Some(key) => cache::recorded(&self.cache, &self.stores, key, stream),
            None => stream,
        };
        let stream = self.compute.stream(stream, watch);
        Ok(Begun { stream, notices, late })
    }

    /// The lowest position that the three stores have reached; of those that answer, where the session would have it so.
    async fn cut_now(&self, unavailable: Option<Arc<Unavailable>>) -> Result<Cut, QueryError> {
        let stores = Arc::clone(&self.stores);
        let read = move || -> Result<Cut, QueryError> {
            let mut reached = Vec::with_capacity(3);
            for (role, store) in [("ledger", &stores.ledger), ("documents", &stores.documents), ("search", &stores.search)] {
                match (store.positions(), &unavailable) {
                    (Ok(positions), _) => reached.push(positions),
                    (Err(QueryError::Store { message, .. }), Some(unavailable)) => {
                        unavailable.tell(format!("the cut is that of the other stores: {role}: {message}"));
                    }
                    (Err(error), _) => return Err(error),
                }
            }
            Ok(Cut::of(&reached))
        };
        tokio::task::spawn_blocking(read).await.map_err(QueryError::internal)?
    }
}

/// What DESCRIBE shows, with types as SQL calls them.
fn in_sql_types(plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
    let LogicalPlan::DescribeTable(described) = &plan else { return Ok(plan) };
    let row = |field: &Arc<Field>| {
        let nullable = if field.is_nullable() { "YES" } else { "NO" };
        vec![lit(field.name().clone()), lit(catalog::type_name(field.data_type())), lit(nullable)]
    };
    let rows: Vec<_> = described.schema.fields().iter().map(row).collect();
    if rows.is_empty() {
        return Ok(plan);
    }
    let names = [("column1", "column_name"), ("column2", "data_type"), ("column3", "is_nullable")];
    LogicalPlanBuilder::values(rows)?.project(names.map(|(given, shown)| col(given).alias(shown)))?.build()
}

/// What to tell of the tables in a plan that do not obey the cut.
fn outside_the_cut(plan: &LogicalPlan) -> Vec<String> {
    let mut notices: Vec<String> = Vec::new();
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(relation) = source_as_provider(&scan.source)?.downcast_ref::<Relation>()
            && let Some(notice) = cut::notice(&relation.qualified_name(), relation.cut)
            && !notices.contains(&notice)
        {
            notices.push(notice);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    if let Err(error) = walked {
        tracing::debug!(%error, "a plan could not be walked for notices");
    }
    notices
}
