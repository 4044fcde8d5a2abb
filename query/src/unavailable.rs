//! A store that is down, where the session would rather have the rest: `SET wardhouse.unavailable = 'partial'`.
//!
//! What must stay true: within one query a relation is either answered or missing, never half of each; whatever is missing is told by its
//! name. Without this setting nothing here is in a query's way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, new_null_array};
use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionConfig;
use futures::StreamExt;

use crate::errors::QueryError;
use crate::table::Survey;

/// What an analyst is told once a query has begun to give rows. Cheap to clone; read it when the stream has ended.
#[derive(Clone, Debug, Default)]
pub struct LateNotices(Arc<Mutex<Vec<String>>>);

impl LateNotices {
    /// Takes what has not been taken yet.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, notice: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
    }
}

/// What has become of a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    Missing,
}

/// The relations of one query that may be missing.
#[derive(Debug, Default)]
pub(crate) struct Unavailable {
    fates: Mutex<BTreeMap<String, Fate>>,
    notices: LateNotices,
}

impl Unavailable {
    /// What is told of what is missing.
    pub(crate) fn notices(&self) -> LateNotices {
        self.notices.clone()
    }

    /// Whether `error` means that the relation is missing, which is told: it must not have answered before.
    pub(crate) fn missing(&self, relation: &str, error: &QueryError) -> bool {
        if !matches!(error, QueryError::Store { .. }) {
            return false;
        }
        let mut fates = self.fates.lock().unwrap_or_else(PoisonError::into_inner);
        match fates.get(relation) {
            Some(Fate::Answered) => false,
            Some(Fate::Missing) => true,
            None => {
                fates.insert(relation.to_owned(), Fate::Missing);
                self.notices.push(format!("{relation} is missing from this answer: {}", error.headline()));
                true
            }
        }
    }

    fn fate(&self, relation: &str) -> Option<Fate> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner).get(relation).copied()
    }

    /// Something else of a query that is missing.
    pub(crate) fn tell(&self, notice: String) {
        self.notices.push(notice);
    }

    /// Whether a relation may answer: it must not have been missing before.
    fn answers(&self, relation: &str) -> bool {
        let mut fates = self.fates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fate) = fates.get(relation) {
            return *fate == Fate::Answered;
        }
        fates.insert(relation.to_owned(), Fate::Answered);
        true
    }
}

/// The batches of one part of a scan, or `instead` of them (nothing, or what an aggregation gives over no rows) where the store is down
/// and the session would have it so.
pub(crate) fn watched(context: &TaskContext, relation: &str, instead: Option<RecordBatch>, stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let Some(unavailable) = context.session_config().get_extension::<Unavailable>() else { return stream };
    let schema = stream.schema();
    let relation = relation.to_owned();
    let mut instead = instead;
    let batches = stream.scan(false, move |over, batch| {
        let kept = match batch {
            _ if *over => None,
            Ok(batch) if unavailable.answers(&relation) => Some(Ok(batch)),
            Err(error) if !store_error(&error).is_some_and(|told| unavailable.missing(&relation, told)) => {
                *over = true;
                Some(Err(error))
            }
            // Missing: the stream ends.
            _ => {
                *over = true;
                instead.take().map(Ok)
            }
        };
        std::future::ready(kept)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// What a store said, in whatever DataFusion wrapped it.
fn store_error(error: &DataFusionError) -> Option<&QueryError> {
    match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref::<QueryError>(),
        _ => None,
    }
}

/// What a store knows of a relation; nothing where it is down, which is told, and the session would have the others' rows.
pub(crate) fn surveyed(surveyed: Result<Survey, QueryError>, relation: &str, config: &SessionConfig) -> Result<Survey, QueryError> {
    surveyed.or_else(|error| match config.get_extension::<Unavailable>() {
        Some(unavailable) if unavailable.missing(relation, &error) => Ok(Survey::default()),
        _ => Err(error),
    })
}

/// Whether it is known already that a relation is missing: its store need not be tried again.
pub(crate) fn is_missing(context: &TaskContext, relation: &str) -> bool {
    context.session_config().get_extension::<Unavailable>().is_some_and(|unavailable| unavailable.fate(relation) == Some(Fate::Missing))
}

/// The row of an aggregation without groups over no rows: counts are 0, whatever else there is, is NULL.
pub(crate) fn no_rows(schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &Arc<Field>| -> ArrayRef { if field.is_nullable() { new_null_array(field.data_type(), 1) } else { Arc::new(Int64Array::from(vec![0])) } };
    Ok(RecordBatch::try_new(Arc::clone(schema), schema.fields().iter().map(column).collect())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Schema};
    use futures::TryStreamExt;

    fn down() -> QueryError {
        QueryError::Store { role: "search", message: "it is away".into(), remedy: "wait".into() }
    }

    fn batch() -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap()
    }

    async fn rows(context: &TaskContext, batches: Vec<Result<RecordBatch>>) -> Result<usize, QueryError> {
        let stream = RecordBatchStreamAdapter::new(batch().schema(), futures::stream::iter(batches));
        let batches: Vec<RecordBatch> = watched(context, "search.alerts", None, Box::pin(stream)).try_collect().await?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    }

    fn context() -> (TaskContext, LateNotices) {
        let unavailable = Arc::new(Unavailable::default());
        let notices = unavailable.notices();
        (TaskContext::default().with_session_config(SessionConfig::new().with_extension(unavailable)), notices)
    }

    #[tokio::test]
    async fn a_store_that_is_down_answers_nothing_and_is_named_once() {
        let (context, notices) = context();
        assert_eq!(rows(&context, vec![Err(down().into())]).await, Ok(0));
        assert_eq!(rows(&context, vec![Ok(batch())]).await, Ok(0), "the other parts of a relation that is missing are missing too");
        assert_eq!(notices.take(), ["search.alerts is missing from this answer: search: it is away"]);
        assert!(notices.take().is_empty());
    }

    #[tokio::test]
    async fn a_store_that_goes_down_half_way_fails_the_query() {
        let (context, notices) = context();
        assert_eq!(rows(&context, vec![Ok(batch()), Err(down().into())]).await, Err(down()));
        assert_eq!(rows(&context, vec![Err(down().into())]).await, Err(down()));
        assert!(notices.take().is_empty());
    }

    #[test]
    fn a_count_of_what_is_missing_is_nought() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("count", DataType::Int64, false), Field::new("max", DataType::Utf8, true)]));
        let row = no_rows(&schema).unwrap();
        assert_eq!((row.num_rows(), row.column(1).null_count()), (1, 1));
        let (context, notices) = context();
        let lost = surveyed(Err(down()), "search.alerts", context.session_config()).unwrap();
        assert_eq!((lost, is_missing(&context, "search.alerts"), is_missing(&context, "ledger.transactions")), (Survey::default(), true, false));
        assert_eq!(notices.take().len(), 1);
        assert_eq!(surveyed(Err(down()), "search.alerts", TaskContext::default().session_config()), Err(down()));
    }

    #[tokio::test]
    async fn without_the_setting_and_for_other_faults_nothing_changes() {
        assert_eq!(rows(&TaskContext::default(), vec![Err(down().into())]).await, Err(down()));
        let (context, _) = context();
        let fault = QueryError::internal("a mistake");
        assert_eq!(rows(&context, vec![Err(fault.clone().into())]).await, Err(fault));
    }
}
