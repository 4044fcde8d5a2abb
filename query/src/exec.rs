//! The physical plan of a scan, and the way its batches take from a blocking thread to DataFusion.
//!
//! What must stay true: a store is read on a blocking thread only, begun when the first batch is asked for and interrupted
//! when the stream is dropped; at most two batches wait; no more rows than the limit leave. Conditions that a join learns
//! while it runs only ever remove rows that the join would drop anyway, and never meet a limit.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::filter_pushdown::{ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput};
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, ReplaceChildrenOptions, SortOrderPushdownResult, StatisticsArgs,
};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::aggregate::Aggregation;
use crate::compute::Readers;
use crate::errors::QueryError;
use crate::late;
use crate::principal::Principal;
use crate::store;
use crate::table::{Order, Prepared, Request, Scan, Survey};
use crate::unavailable;
use crate::work::Meter;

/// Batches that wait between the store and DataFusion.
const WAITING: usize = 2;

/// Tells a blocking thread that nobody wants its rows any more.
#[derive(Default)]
struct Stop {
    stopped: CancellationToken,
    interrupt: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

struct StopOnDrop(Arc<Stop>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        // First the flag, then the handle: a thread that sets its handle later sees the flag.
        self.0.stopped.cancel();
        if let Some(interrupt) = self.0.interrupt.get() {
            interrupt();
        }
    }
}

/// Where a running scan hands over its batches.
pub(crate) struct Sink {
    schema: SchemaRef,
    sender: mpsc::Sender<Result<RecordBatch>>,
    stop: Arc<Stop>,
    left: usize,
    batch_rows: usize,
    asker: Option<Arc<Principal>>,
    meter: Meter,
    /// What each batch becomes, where a scan reads another one's rows as its own.
    map: Option<MapBatch>,
    /// Why a batch could not become one.
    unmapped: Option<QueryError>,
}

/// What makes a batch of another.
pub(crate) type MapBatch = Box<dyn Fn(&RecordBatch) -> std::result::Result<RecordBatch, QueryError> + Send>;

impl Sink {
    /// Schema of the batches.
    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Rows of one batch.
    pub(crate) fn batch_rows(&self) -> usize {
        self.batch_rows
    }

    /// Rows that are still wanted.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Who asks, where a session does.
    pub(crate) fn asker(&self) -> Option<&Principal> {
        self.asker.as_deref()
    }

    /// Calls `interrupt` when nobody wants rows any more. Returns `false` when that is so already.
    pub(crate) fn on_stop(&self, interrupt: impl Fn() + Send + Sync + 'static) -> bool {
        // Set once a scan; a second store of the same scan would be one too many.
        let fresh = self.stop.interrupt.set(Box::new(interrupt)).is_ok();
        fresh && !self.stop.stopped.is_cancelled()
    }

    /// Waits on this blocking thread for what a store's client answers; `None` when nobody wants rows any more.
    pub(crate) fn wait<F: Future>(&self, future: F) -> Option<F::Output> {
        let stopped = &self.stop.stopped;
        store::wait(async {
            tokio::select! {
                biased;
                () = stopped.cancelled() => None,
                answer = future => Some(answer),
            }
        })
    }

    /// Runs `work`, which hands over batches of another schema: each becomes what `map` makes of it.
    pub(crate) fn mapped(&mut self, schema: SchemaRef, map: MapBatch, work: impl FnOnce(&mut Sink) -> std::result::Result<(), QueryError>) -> std::result::Result<(), QueryError> {
        let own = std::mem::replace(&mut self.schema, schema);
        self.map = Some(map);
        let worked = work(self);
        self.map = None;
        self.schema = own;
        match self.unmapped.take() {
            Some(error) => Err(error),
            None => worked,
        }
    }

    /// Hands over a batch, waiting for room. Returns `false` when no more rows are wanted.
    pub(crate) fn send(&mut self, batch: RecordBatch) -> bool {
        let batch = match self.map.as_ref().map(|map| map(&batch)) {
            None => batch,
            Some(Ok(mapped)) if mapped.num_rows() == 0 => return true,
            Some(Ok(mapped)) => mapped,
            Some(Err(error)) => {
                self.unmapped = Some(error);
                return false;
            }
        };
        let batch = if batch.num_rows() > self.left { batch.slice(0, self.left) } else { batch };
        self.left -= batch.num_rows();
        self.meter.gave(&batch);
        let taken = self.sender.blocking_send(Ok(batch)).is_ok();
        self.meter.waited();
        taken && self.left > 0
    }
}

/// A scan of one relation, or of its groups.
#[derive(Debug)]
pub(crate) struct ScanExec {
    relation: String,
    scan: Arc<dyn Scan>,
    request: Request,
    /// What is computed of the rows that the request describes; its columns are then the output.
    aggregation: Option<Aggregation>,
    survey: Survey,
    rechecked: Vec<String>,
    late: Vec<Arc<dyn PhysicalExpr>>,
    prepared: Arc<dyn Prepared>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ScanExec {
    /// Prepares the native query for `request`.
    pub(crate) fn new(relation: String, scan: Arc<dyn Scan>, request: Request, survey: Survey, rechecked: Vec<String>) -> Result<ScanExec> {
        let schema = Arc::new(scan.schema().project(&request.projection)?);
        let prepared = scan.prepare(&request, &survey)?;
        Ok(ScanExec::prepared(relation, scan, request, None, survey, prepared, schema).rechecking(rechecked))
    }

    /// Prepares the native query for an aggregation of the rows that `request` describes; the store has said that it computes it.
    pub(crate) fn aggregated(relation: String, scan: Arc<dyn Scan>, request: Request, aggregation: Aggregation, survey: Survey) -> Result<ScanExec> {
        let schema = Arc::clone(&aggregation.schema);
        let prepared = scan.prepare_aggregate(&request, &aggregation, &survey)?;
        Ok(ScanExec::prepared(relation, scan, request, Some(aggregation), survey, prepared, schema))
    }

    fn prepared(
        relation: String,
        scan: Arc<dyn Scan>,
        request: Request,
        aggregation: Option<Aggregation>,
        survey: Survey,
        prepared: Arc<dyn Prepared>,
        schema: SchemaRef,
    ) -> ScanExec {
        let ordering = request.order.iter().filter_map(|order| sort_expr(order, &request.projection, &schema)).collect::<Vec<_>>();
        let equivalence = if ordering.is_empty() { EquivalenceProperties::new(schema) } else { EquivalenceProperties::new_with_orderings(schema, [ordering]) };
        let properties = PlanProperties::new(equivalence, Partitioning::UnknownPartitioning(prepared.parts()), EmissionType::Incremental, Boundedness::Bounded)
            .with_scheduling_type(SchedulingType::Cooperative);
        ScanExec {
            relation,
            scan,
            request,
            aggregation,
            survey,
            rechecked: Vec::new(),
            late: Vec::new(),
            prepared,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn rechecking(self, rechecked: Vec<String>) -> ScanExec {
        ScanExec { rechecked, ..self }
    }

    /// The same with another request and other late conditions.
    fn again(&self, request: Request, late: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (relation, scan, survey) = (self.relation.clone(), Arc::clone(&self.scan), self.survey.clone());
        let again = match &self.aggregation {
            None => ScanExec::new(relation, scan, request, survey, self.rechecked.clone())?,
            Some(aggregation) => ScanExec::aggregated(relation, scan, request, aggregation.clone(), survey)?,
        };
        Ok(Arc::new(ScanExec { late, ..again }))
    }

    /// The relation's column that each column of the output is. Where it is none, no late condition is taken that names it.
    fn columns(&self) -> Vec<usize> {
        match &self.aggregation {
            None => self.request.projection.clone(),
            Some(aggregation) => (0..aggregation.schema.fields().len()).map(|index| aggregation.plain_column(index).unwrap_or_default()).collect(),
        }
    }

    /// Whether a late condition is one on rows: groups are left out as a whole only by what they are grouped by.
    fn takes(&self, late: &Arc<dyn PhysicalExpr>) -> bool {
        let of_rows = |column: &Column| self.aggregation.as_ref().is_none_or(|aggregation| aggregation.plain_column(column.index()).is_some());
        late::is_late(late) && collect_columns(late).iter().all(of_rows)
    }

    /// About how many rows come out.
    fn rows(&self) -> Precision<usize> {
        if self.aggregation.as_ref().is_some_and(|aggregation| aggregation.groups.is_empty()) {
            return Precision::Exact(1);
        }
        let Some(rows) = self.survey.rows else { return Precision::Absent };
        let all = rows as f64;
        let unique = |column: usize| self.scan.is_unique(column);
        let share: f64 = self.request.predicates.iter().map(|p| p.selectivity(all, &unique)).product();
        #[expect(clippy::cast_possible_truncation, reason = "an estimate between 0 and the number of rows")]
        let kept = (all * share).ceil() as usize;
        if let Some(aggregation) = &self.aggregation {
            return Precision::Inexact(aggregation.rows(kept, &unique));
        }
        Precision::Inexact(self.request.limit.map_or(kept, |limit| kept.min(limit)))
    }

    /// The order that is asked for, in the relation's columns. `None` where a key is none of them, or rows are not sorted here: those that were
    /// limited before they were sorted are other rows, and groups are sorted above.
    fn wanted(&self, order: &[PhysicalSortExpr]) -> Option<Vec<Order>> {
        if self.aggregation.is_some() || self.request.limit.is_some() || !self.request.order.is_empty() {
            return None;
        }
        let by = |sort: &PhysicalSortExpr| {
            let column = self.request.projection.get(sort.expr.downcast_ref::<Column>()?.index())?;
            Some(Order { column: *column, descending: sort.options.descending, nulls_first: sort.options.nulls_first })
        };
        order.iter().map(by).collect()
    }

    /// The scan of the first rows in an order; `None` where the store is not asked for them. Below a limit no row may go missing.
    pub(crate) fn first(&self, order: &[PhysicalSortExpr], rows: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let is_exact = self.rechecked.is_empty() && self.late.is_empty();
        let Some(wanted) = self.wanted(order).filter(|wanted| is_exact && self.scan.ranks(wanted)) else { return Ok(None) };
        Ok(Some(self.again(Request { order: wanted, limit: Some(rows), parts: 1, ..self.request.clone() }, Vec::new())?))
    }

    fn describe(&self) -> Vec<(&'static str, String)> {
        let schema = self.scan.schema();
        let pushed: Vec<String> = self.request.predicates.iter().map(|p| p.display(&schema).to_string()).collect();
        let mut lines = vec![("relation", self.relation.clone()), ("native", self.prepared.text())];
        if let Some(aggregation) = &self.aggregation {
            lines.push(("aggregate", format!("[{}]", aggregation.display(&schema))));
        }
        if !pushed.is_empty() {
            lines.push(("pushed", format!("[{}]", pushed.join(", "))));
        }
        if !self.rechecked.is_empty() {
            lines.push(("rechecked", format!("[{}]", self.rechecked.join(", "))));
        }
        if !self.late.is_empty() {
            let late: Vec<String> = self.late.iter().map(ToString::to_string).collect();
            lines.push(("late", format!("[{}]", late.join(", "))));
        }
        if let Some(limit) = self.request.limit {
            lines.push(("limit", limit.to_string()));
        }
        lines
    }
}

fn sort_expr(order: &Order, projection: &[usize], schema: &SchemaRef) -> Option<PhysicalSortExpr> {
    let index = projection.iter().position(|column| *column == order.column)?;
    let options = arrow::compute::SortOptions { descending: order.descending, nulls_first: order.nulls_first };
    Some(PhysicalSortExpr::new(Arc::new(Column::new(schema.field(index).name(), index)), options))
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                f.write_str("ScanExec: ")?;
                for (i, (name, text)) in self.describe().into_iter().enumerate() {
                    write!(f, "{}{name}={text}", if i > 0 { ", " } else { "" })?;
                }
                Ok(())
            }
            DisplayFormatType::TreeRender => {
                for (name, text) in self.describe() {
                    writeln!(f, "{name}={text}")?;
                }
                Ok(())
            }
        }
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    // A join fills its late condition only when it finds it here.
    fn apply_expressions(&self, f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        for expr in &self.late {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>, _: ReplaceChildrenOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition >= self.prepared.parts() {
            return Err(QueryError::internal(format!("{} has no part {partition}", self.relation)).into());
        }
        let schema = self.schema();
        // Without groups there is a row over no rows too.
        let instead = if self.aggregation.as_ref().is_some_and(|aggregation| aggregation.groups.is_empty()) { Some(unavailable::no_rows(&schema)?) } else { None };
        if unavailable::is_missing(&context, &self.relation) {
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(instead.map(Ok::<_, DataFusionError>)))));
        }
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let meter = Meter::new(&context, &self.relation, &self.metrics, partition);
        let prepared = Arc::clone(&self.prepared);
        let (scan, columns, late) = (Arc::clone(&self.scan), self.columns(), self.late.clone());
        let left = self.request.limit.unwrap_or(usize::MAX);
        let batch_rows = context.session_config().batch_size();
        let asker = context.session_config().get_extension::<Principal>();
        let readers = context.session_config().get_extension::<Readers>();
        let begun = async move {
            // A plan that no session runs has threads of its own.
            let thread = match readers {
                Some(readers) => Some(readers.one().await?),
                None => None,
            };
            // A join asks for its probe side's first batch only after it has read its build side: its conditions are known now.
            let late = late::known(&late, &columns, scan.as_ref())?;
            let stop = Arc::new(Stop::default());
            let held = StopOnDrop(Arc::clone(&stop));
            let mut builder = RecordBatchReceiverStreamBuilder::new(Arc::clone(&schema), WAITING);
            let mut sink = Sink { schema: Arc::clone(&schema), sender: builder.tx(), stop, left, batch_rows, asker, meter, map: None, unmapped: None };
            builder.spawn_blocking(move || {
                let _thread = thread;
                if sink.left == 0 {
                    return Ok(());
                }
                sink.meter.begins();
                let ran = prepared.run(partition, &late, &mut sink).map_err(DataFusionError::from);
                sink.meter.worked();
                ran
            });
            let batches = builder.build().inspect(move |batch| {
                let _held = &held;
                if let Ok(batch) = batch {
                    batch.record_output(&baseline);
                }
            });
            let stream: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema, batches));
            Ok::<_, DataFusionError>(stream)
        };
        let stream = futures::stream::once(begun).try_flatten();
        let stream = Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream));
        Ok(unavailable::watched(&context, &self.relation, instead, stream))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _input: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let rows = match args.partition() {
            None => self.rows(),
            Some(_) => self.rows().get_value().map_or(Precision::Absent, |rows| Precision::Inexact(rows.div_ceil(self.prepared.parts()))),
        };
        Ok(Arc::new(Statistics::new_unknown(&self.schema()).with_num_rows(rows)))
    }

    fn fetch(&self) -> Option<usize> {
        self.request.limit
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        // Below a limit no row may go missing: not with conditions that are checked again above, nor with late ones. A limit on groups is
        // none on rows.
        if limit.is_some() && !(self.rechecked.is_empty() && self.late.is_empty() && self.aggregation.is_none()) {
            return None;
        }
        let limit = match (limit, self.request.limit) {
            (Some(wanted), Some(present)) => Some(wanted.min(present)),
            (wanted, present) => wanted.or(present),
        };
        self.again(Request { limit, ..self.request.clone() }, self.late.clone()).ok()
    }

    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let Some(wanted) = self.wanted(order).filter(|wanted| self.scan.sorts(wanted)) else { return Ok(SortOrderPushdownResult::Unsupported) };
        let inner = self.again(Request { order: wanted, ..self.request.clone() }, self.late.clone())?;
        Ok(SortOrderPushdownResult::Exact { inner })
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        pushed: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let late: Vec<_> = pushed.parent_filters.iter().map(|filter| Arc::clone(&filter.filter)).filter(|late| self.takes(late)).collect();
        let answer = FilterPushdownPropagation::all_unsupported(pushed);
        if !matches!(phase, FilterPushdownPhase::Post) || late.is_empty() || self.request.limit.is_some() {
            return Ok(answer);
        }
        let all = self.late.iter().cloned().chain(late).collect();
        Ok(answer.with_updated_node(self.again(self.request.clone(), all)?))
    }
}
