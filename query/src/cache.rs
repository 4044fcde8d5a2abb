//! The result cache: answers that were given before, where nothing that they were read from has changed.
//!
//! What must stay true: an answer is kept only when the stores' positions were the same before its first row and after its last; it is given
//! again only for the same plan (not its text) in the same zone at the same positions. Only tables that are append-only by position are
//! read through it; what depends on the clock, on chance or on anything that the plan does not hold is not kept. Any doubt: not kept.
//! A row that is written below a published position (`replay`, a retried dead letter) is seen with the next position only, which is why
//! the cache is asked for and never on by itself.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;

use crate::cut::CutRule;
use crate::errors::QueryError;
use crate::places::Stores;
use crate::positions::Position;
use crate::settings::Planning;
use crate::table::Relation;

/// Bytes of all answers together.
const MAX_BYTES: usize = 32 << 20;
/// Bytes of one answer.
const MAX_ANSWER: usize = 4 << 20;

/// Positions of stores, by role.
pub(crate) type Positions = Vec<(&'static str, Vec<Position>)>;

/// What an answer is the answer to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    /// As it was written, with the values of its parameters. What is named in it is always the same.
    plan: LogicalPlan,
    planning: Planning,
    as_of_cut: bool,
    positions: Positions,
}

struct Entry {
    key: Key,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    bytes: usize,
}

/// The answers, the one that was used longest ago first.
#[derive(Default)]
pub(crate) struct Cache {
    entries: Mutex<VecDeque<Entry>>,
}

impl Cache {
    /// An answer that was given before.
    pub(crate) fn find(&self, key: &Key) -> Option<SendableRecordBatchStream> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let place = entries.iter().position(|entry| entry.key == *key)?;
        let entry = entries.remove(place)?;
        let (schema, batches) = (Arc::clone(&entry.schema), entry.batches.clone());
        entries.push_back(entry);
        Some(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.into_iter().map(Ok::<_, DataFusionError>)))))
    }

    fn keep(&self, entry: Entry) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|known| known.key != entry.key);
        entries.push_back(entry);
        let mut held: usize = entries.iter().map(|entry| entry.bytes).sum();
        while held > MAX_BYTES {
            let Some(oldest) = entries.pop_front() else { break };
            held -= oldest.bytes;
        }
    }
}

/// The stores that a plan reads, where its answer may be kept. `plan` is not yet optimized: `now()` is still a function in it.
pub(crate) fn stores(plan: &LogicalPlan, as_of_cut: bool) -> Option<BTreeSet<&'static str>> {
    let mut stores = BTreeSet::new();
    let mut doubt = false;
    let walked = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(scan) => match source_as_provider(&scan.source).ok().as_ref().and_then(|table| table.downcast_ref::<Relation>()) {
                Some(relation) if matches!(relation.cut, CutRule::BySeq | CutRule::BySeqButPatterns) => {
                    stores.insert(relation.schema_name);
                }
                _ => doubt = true,
            },
            LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::DescribeTable(_)
            | LogicalPlan::RecursiveQuery(_) => {
                doubt = true;
            }
            _ => {}
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                doubt |= match part {
                    Expr::ScalarFunction(function) => function.func.signature().volatility != Volatility::Immutable,
                    Expr::AggregateFunction(function) => function.func.signature().volatility != Volatility::Immutable,
                    Expr::ScalarVariable(_, _) | Expr::Placeholder(_) | Expr::HigherOrderFunction(_) => true,
                    _ => false,
                };
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    if as_of_cut {
        stores.extend(["ledger", "documents", "search"]);
    }
    (walked.is_ok() && !doubt && !stores.is_empty()).then_some(stores)
}

/// The positions of these stores now; `None` where one has none, or does not say.
pub(crate) async fn positions(stores: &Arc<Stores>, roles: BTreeSet<&'static str>) -> Result<Option<Positions>, QueryError> {
    let stores = Arc::clone(stores);
    let read = move || {
        let mut positions = Positions::new();
        for role in roles {
            let store = match role {
                "ledger" => &stores.ledger,
                "documents" => &stores.documents,
                "search" => &stores.search,
                _ => return None,
            };
            // It does not publish what retention removed.
            if store.kind() == "tantivy" {
                return None;
            }
            let published = store.positions().ok().filter(|published| !published.is_empty())?;
            positions.push((role, published));
        }
        Some(positions)
    };
    tokio::task::spawn_blocking(read).await.map_err(QueryError::internal)
}

impl Key {
    pub(crate) fn new(plan: LogicalPlan, planning: Planning, as_of_cut: bool, positions: Positions) -> Key {
        Key { plan, planning, as_of_cut, positions }
    }
}

/// A stream whose rows are kept once it has ended, if it was small, and nothing has changed meanwhile.
pub(crate) fn recorded(cache: &Arc<Cache>, stores: &Arc<Stores>, key: Key, stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let recorder = Recorder { cache: Arc::clone(cache), stores: Arc::clone(stores), entry: Some(Entry { key, schema: Arc::clone(&schema), batches: Vec::new(), bytes: 0 }) };
    let batches = futures::stream::unfold(Some((stream, recorder)), |state| async move {
        let (mut stream, mut recorder) = state?;
        match stream.next().await {
            Some(Ok(batch)) => {
                recorder.hold(&batch);
                Some((Ok(batch), Some((stream, recorder))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                drop(stream);
                recorder.finish().await;
                None
            }
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

struct Recorder {
    cache: Arc<Cache>,
    stores: Arc<Stores>,
    /// `None` once it is too large.
    entry: Option<Entry>,
}

impl Recorder {
    fn hold(&mut self, batch: &RecordBatch) {
        let bytes = batch.get_array_memory_size();
        self.entry = self.entry.take().filter(|entry| entry.bytes + bytes <= MAX_ANSWER).map(|mut entry| {
            entry.batches.push(batch.clone());
            entry.bytes += bytes;
            entry
        });
    }

    async fn finish(self) {
        let Some(entry) = self.entry else { return };
        let roles = entry.key.positions.iter().map(|(role, _)| *role).collect();
        match positions(&self.stores, roles).await {
            Ok(Some(now)) if now == entry.key.positions => self.cache.keep(entry),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "an answer is not kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use datafusion::logical_expr::{LogicalPlanBuilder, lit};

    fn key(number: i64, next_seq: i64) -> Key {
        let plan = LogicalPlanBuilder::values(vec![vec![lit(number)]]).unwrap().build().unwrap();
        let planning = Planning { zone: "UTC".into(), schema: "ledger".into() };
        Key::new(plan, planning, false, vec![("ledger", vec![Position { next_seq, ..Position::default() }])])
    }

    fn entry(key: Key, rows: usize) -> Entry {
        let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1; rows])) as ArrayRef)]).unwrap();
        Entry { key, schema: batch.schema(), bytes: batch.get_array_memory_size(), batches: vec![batch] }
    }

    #[test]
    fn an_answer_is_found_at_the_same_position_only() {
        let cache = Cache::default();
        cache.keep(entry(key(1, 10), 5));
        assert!(cache.find(&key(1, 10)).is_some());
        assert!(cache.find(&key(1, 11)).is_none());
        assert!(cache.find(&key(2, 10)).is_none());
    }

    #[test]
    fn the_answer_that_was_used_longest_ago_goes_first() {
        let cache = Cache::default();
        // 4 MB each.
        for number in 0..8 {
            cache.keep(entry(key(number, 1), 500_000));
        }
        assert!(cache.find(&key(0, 1)).is_some());
        cache.keep(entry(key(8, 1), 500_000));
        assert!(cache.find(&key(0, 1)).is_some() && cache.find(&key(1, 1)).is_none());
    }

    #[test]
    fn what_depends_on_more_than_the_plan_is_not_kept() {
        let plan = LogicalPlanBuilder::values(vec![vec![datafusion::functions::math::random().call(Vec::new())]]).unwrap().build().unwrap();
        assert_eq!(stores(&plan, true), None);
        let constant = LogicalPlanBuilder::values(vec![vec![lit(1)]]).unwrap().build().unwrap();
        assert_eq!(stores(&constant, false), None, "it reads no store");
    }
}
