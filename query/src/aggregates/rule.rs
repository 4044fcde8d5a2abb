//! The rule of the optimizer: an aggregate over a scan becomes a scan of groups, under a projection that gives the columns their names.
//!
//! What must stay true: the plan's schema is the same before and after, names and nullability included; a scan is replaced only where the
//! store has said that it answers every filter and computes every aggregate exactly.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, TableReference};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, TableScan, TableScanBuilder};
use datafusion::optimizer::{ApplyOrder, Optimizer, OptimizerConfig, OptimizerRule};

use super::groups::GroupsTable;
use super::mean;
use super::meaning::{Meaning, meaning, scan_under};
use super::whole;
use crate::aggregate::{Aggregation, Function, Group, Measure};
use crate::catalog::DEFAULT_SCHEMA;
use crate::joins::{JoinedTable, PushDownJoin};
use crate::numbers::WHOLE;
use crate::predicate::Predicate;
use crate::table::{Origin, Relation, Request, Support};

/// Pushes aggregates down into stores.
#[derive(Debug)]
struct PushDownAggregate;

/// DataFusion's rules with those that push aggregates and joins down: behind the one that gives scans their filters, and before the one that
/// makes two aggregates of one that counts distinct values.
pub(crate) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let at = rules.iter().position(|rule| rule.name() == "push_down_filter").map_or(rules.len(), |at| at + 1);
    let pushing: [Arc<dyn OptimizerRule + Send + Sync>; 2] = [Arc::new(PushDownJoin), Arc::new(PushDownAggregate)];
    for (behind, rule) in pushing.into_iter().enumerate() {
        rules.insert(at + behind, rule);
    }
    rules
}

impl OptimizerRule for PushDownAggregate {
    fn name(&self) -> &'static str {
        "push_down_aggregate"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if let LogicalPlan::Aggregate(aggregate) = &plan
            && let Some(pushed) = pushed(aggregate)?
        {
            return Ok(Transformed::yes(pushed));
        }
        Ok(Transformed::no(plan))
    }
}

/// A scan that aggregates could be asked of: where its rows come from, and its filters, all of them exact.
pub(crate) fn exactly_filtered(scan: &TableScan) -> Result<Option<(Origin, Vec<Predicate>)>> {
    let Ok(provider) = source_as_provider(&scan.source) else { return Ok(None) };
    let origin = if let Some(relation) = provider.downcast_ref::<Relation>() {
        relation.origin()
    } else if let Some(joined) = provider.downcast_ref::<JoinedTable>() {
        joined.origin.clone()
    } else {
        return Ok(None);
    };
    if scan.fetch.is_some() {
        return Ok(None);
    }
    let mut predicates = Vec::with_capacity(scan.filters.len());
    for filter in &scan.filters {
        match origin.understood(filter, &scan.source.schema())? {
            Some((predicate, Support::Exact)) => predicates.push(predicate),
            _ => return Ok(None),
        }
    }
    Ok(Some((origin, predicates)))
}

fn pushed(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let Some(scan) = scan_under(&aggregate.input) else { return Ok(None) };
    let Some((origin, predicates)) = exactly_filtered(scan)? else { return Ok(None) };
    let Some(answer) = Answer::of(aggregate, &scan.source.schema()) else { return Ok(None) };
    let request = Request { projection: Vec::new(), predicates, order: Vec::new(), limit: None, parts: 1 };
    if !origin.scan.aggregates(&request, &answer.aggregation) {
        return Ok(None);
    }
    let name = told_apart("groups", &scan.table_name, &(&request.predicates, &answer.aggregation));
    let projected = answer.projected(&name, aggregate);
    let table = GroupsTable { origin, rows: scan.source.schema(), predicates: request.predicates, aggregation: answer.aggregation };
    let scan = TableScanBuilder::new(name, provider_as_source(Arc::new(table))).build()?;
    Ok(Some(LogicalPlan::Projection(Projection::try_new_with_schema(projected, Arc::new(LogicalPlan::TableScan(scan)), Arc::clone(&aggregate.schema))?)))
}

/// The name of a scan that stands for more than its table. What it stands for is in it: DataFusion takes two scans for one that have the same
/// name, columns and filters, whatever their sources.
pub(crate) fn told_apart(what: &str, table: &TableReference, of: &dyn std::fmt::Debug) -> TableReference {
    let mut hasher = DefaultHasher::new();
    format!("{table:?} {of:?}").hash(&mut hasher);
    TableReference::full(format!("{what}_{:016x}", hasher.finish()), table.schema().unwrap_or(DEFAULT_SCHEMA), table.table())
}

/// What a store would be asked, and what the aggregate's columns are in its answer.
struct Answer {
    aggregation: Aggregation,
    columns: Vec<Output>,
}

/// A column of the aggregate, by places in the store's answer.
enum Output {
    Same(usize),
    /// A sum of integers, which has come in more than 64 bits.
    Whole(usize),
    Mean {
        sum: usize,
        count: usize,
    },
}

/// What an aggregate function is in measures.
enum Measured {
    One(Measure),
    Mean { sum: Measure, count: Measure },
}

impl Answer {
    /// `None` where the aggregate is none that a store is asked for.
    fn of(aggregate: &Aggregate, rows: &Schema) -> Option<Answer> {
        // Columns that carry more than a value are nobody's here.
        if aggregate.schema.fields().iter().any(|field| !field.metadata().is_empty()) {
            return None;
        }
        let meant = |expr: &Expr| meaning(expr, &aggregate.input, rows);
        let mut groups: Vec<Group> = Vec::new();
        let mut columns = Vec::with_capacity(aggregate.schema.fields().len());
        for expr in &aggregate.group_expr {
            let group = meant(expr)?.group()?;
            columns.push(Output::Same(place(&mut groups, group)));
        }
        let behind = groups.len();
        let mut measures: Vec<Measure> = Vec::new();
        for expr in &aggregate.aggr_expr {
            columns.push(match measured(expr, &meant, rows)? {
                Measured::One(measure) => {
                    let is_whole = measure.function == Function::Sum && measure.data_type(rows)? == WHOLE;
                    let index = behind + place(&mut measures, measure);
                    if is_whole { Output::Whole(index) } else { Output::Same(index) }
                }
                Measured::Mean { sum, count } => Output::Mean { sum: behind + place(&mut measures, sum), count: behind + place(&mut measures, count) },
            });
        }
        // As nullable as it was, so that nothing above sees another schema.
        let is_nullable =
            |index: usize| columns.iter().zip(aggregate.schema.fields()).any(|(output, field)| matches!(output, Output::Same(at) if *at == index) && field.is_nullable());
        let group_fields = groups.iter().enumerate().map(|(index, group)| {
            let (Group::Column(column) | Group::Time { column, .. }) = group;
            Some(Field::new(group.display(rows), rows.field(*column).data_type().clone(), is_nullable(index)))
        });
        let measure_fields = measures.iter().map(|measure| Some(Field::new(measure.display(rows), measure.data_type(rows)?, measure.is_nullable())));
        let fields = group_fields.chain(measure_fields).collect::<Option<Vec<Field>>>()?;
        let answer = Answer { aggregation: Aggregation { groups, measures, schema: Arc::new(Schema::new(fields)) }, columns };
        (answer.columns.len() == aggregate.schema.fields().len() && answer.has_types_of(aggregate)).then_some(answer)
    }

    /// Whether the answer's columns have the types of the aggregate's, and are not NULL where those are not.
    fn has_types_of(&self, aggregate: &Aggregate) -> bool {
        let fields = self.aggregation.schema.fields();
        self.columns.iter().zip(aggregate.schema.fields()).all(|(output, wanted)| match output {
            Output::Same(index) => fields.get(*index).is_some_and(|field| field.data_type() == wanted.data_type() && (wanted.is_nullable() || !field.is_nullable())),
            Output::Whole(_) => *wanted.data_type() == DataType::Int64 && wanted.is_nullable(),
            Output::Mean { .. } => wanted.is_nullable(),
        })
    }

    /// The aggregate's columns, by their own names, over the scan of groups.
    fn projected(&self, name: &TableReference, aggregate: &Aggregate) -> Vec<Expr> {
        let column = |index: usize| Expr::Column(Column::new(Some(name.clone()), self.aggregation.schema.field(index).name()));
        let value = |output: &Output, data_type: &DataType| match output {
            Output::Same(index) => column(*index),
            Output::Whole(index) => whole::function().call(vec![column(*index)]),
            Output::Mean { sum, count } => mean::function(data_type.clone()).call(vec![column(*sum), column(*count)]),
        };
        let named = self.columns.iter().zip(aggregate.schema.iter());
        named.map(|(output, (qualifier, field))| value(output, field.data_type()).alias_qualified(qualifier.cloned(), field.name())).collect()
    }
}

/// The place of `wanted` among `all`, where it is put if it is not there yet.
fn place<T: PartialEq>(all: &mut Vec<T>, wanted: T) -> usize {
    all.iter().position(|known| *known == wanted).unwrap_or_else(|| {
        all.push(wanted);
        all.len() - 1
    })
}

fn measured(expr: &Expr, meant: &dyn Fn(&Expr) -> Option<Meaning>, rows: &Schema) -> Option<Measured> {
    let AggregateFunction { func, params } = match expr {
        Expr::Alias(alias) => return measured(&alias.expr, meant, rows),
        Expr::AggregateFunction(function) => function,
        _ => return None,
    };
    let AggregateFunctionParams { args, distinct, filter: None, order_by, null_treatment: None } = params else { return None };
    if !order_by.is_empty() {
        return None;
    }
    let argument = match args.as_slice() {
        [] => Meaning::Constant,
        [argument] => meant(argument)?,
        _ => return None,
    };
    let type_of = |column: usize| rows.field(column).data_type();
    let one = |function, column| Some(Measured::One(Measure { function, column: Some(column) }));
    let rows_of = |column: usize| Measure { function: Function::Count, column: rows.field(column).is_nullable().then_some(column) };
    match (func.name(), *distinct, argument) {
        ("count", false, Meaning::Constant) => Some(Measured::One(Measure { function: Function::Count, column: None })),
        ("count", false, Meaning::Column(column)) => Some(Measured::One(rows_of(column))),
        ("count", true, Meaning::Column(column)) => one(Function::CountDistinct, column),
        ("min", _, Meaning::Column(column)) => one(Function::Min, column),
        ("max", _, Meaning::Column(column)) => one(Function::Max, column),
        ("sum", false, Meaning::Column(column)) if matches!(type_of(column), DataType::Int64 | DataType::Decimal128(..)) => one(Function::Sum, column),
        ("sum", false, Meaning::Cast(column, DataType::Int64)) if *type_of(column) == DataType::Int32 => one(Function::Sum, column),
        // Doubles hold the sum of 32-bit integers exactly, of 4 million rows at least, but not that of 64-bit ones: DataFusion's own average
        // of those depends on the order of the rows.
        ("avg", false, Meaning::Cast(column, DataType::Float64)) if *type_of(column) == DataType::Int32 => Some(mean_of(column, rows_of(column))),
        ("avg", false, Meaning::Column(column)) if matches!(type_of(column), DataType::Decimal128(..)) => Some(mean_of(column, rows_of(column))),
        _ => None,
    }
}

fn mean_of(column: usize, count: Measure) -> Measured {
    Measured::Mean { sum: Measure { function: Function::Sum, column: Some(column) }, count }
}
