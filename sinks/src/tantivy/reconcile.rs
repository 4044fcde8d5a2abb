//! Alerts of the embedded index read back by their position, each field as it is stored.
//!
//! What must stay true: nothing is written; a look sees one commit as a whole; what is expected is the very document that the sink adds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use tantivy::collector::DocSetCollector;
use tantivy::query::{AllQuery, BooleanQuery, Occur, Query, RangeQuery, TermQuery};
use tantivy::schema::{IndexRecordOption, OwnedValue, Schema};
use tantivy::{Index, IndexReader, ReloadPolicy, Searcher, TantivyDocument, TantivyError, Term};
use wh_eventlog::Stored;
use wh_schemas::Reaction;
use wh_schemas::position::{Seq, SeqPosition};
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_stores::tantivy::layout;

use super::dialect::{self, Fields, Payload};
use super::sink::reaction;
use crate::delivery::walk::stream_of;
use crate::pattern::PatternRow;
use crate::reconcile::{Expected, Field, Known, NOWHERE, Plain, Reached, Row, Span, StoredRows};

/// What rows are of.
const ALERTS: &str = "alerts";

/// The alerts of an embedded index.
#[derive(Debug)]
pub struct TantivyRows {
    folder: Arc<PathBuf>,
}

impl TantivyRows {
    /// Of the index in a folder.
    #[must_use]
    pub fn new(folder: &Path) -> TantivyRows {
        TantivyRows { folder: Arc::new(folder.to_owned()) }
    }

    /// Looks at the last commit on a thread that may block; nothing where there is none yet.
    async fn look<T: Default + Send + 'static>(&self, work: impl FnOnce(&Index, &Searcher, Fields) -> Result<T, Reaction> + Send + 'static) -> Result<T, Reaction> {
        let folder = Arc::clone(&self.folder);
        let task = tokio::task::spawn_blocking(move || {
            if !folder.join("meta.json").exists() {
                return Ok(T::default());
            }
            let told = |error: TantivyError| reaction(&folder, &error);
            let index = Index::open_in_dir(&*folder).map_err(told)?;
            layout::register_analyzer(&index);
            let fields = Fields::of(&index.schema())?;
            let reader: Result<IndexReader, TantivyError> = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into();
            work(&index, &reader.map_err(told)?.searcher(), fields)
        });
        task.await.map_err(|error| Reaction::fatal(format!("the task that reads the search store failed: {error}")))?
    }

    /// At most `limit` alerts of which a query holds.
    async fn rows(&self, query: impl FnOnce(Fields) -> Box<dyn Query> + Send + 'static, limit: usize) -> Result<Vec<Row>, Reaction> {
        let folder = Arc::clone(&self.folder);
        self.look(move |index, searcher, fields| {
            let told = |error: TantivyError| reaction(&folder, &error);
            let mut places: Vec<_> = searcher.search(&*query(fields), &DocSetCollector).map_err(told)?.into_iter().collect();
            places.sort_unstable();
            let schema = index.schema();
            let mut rows = Vec::new();
            for place in places.into_iter().take(limit) {
                rows.push(row(&schema, &searcher.doc::<TantivyDocument>(place).map_err(told)?));
            }
            Ok(rows)
        })
        .await
    }
}

/// The row of a document.
fn row(schema: &Schema, document: &TantivyDocument) -> Row {
    let mut values: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut partition, mut seq, mut time, mut id) = (None, None, 0, String::new());
    for (field, value) in document.field_values() {
        let name = schema.get_field_name(field);
        let told = match OwnedValue::from(value) {
            OwnedValue::Str(text) => {
                if name == layout::ALERT_ID {
                    id.clone_from(&text);
                }
                text
            }
            OwnedValue::I64(number) => {
                match name {
                    layout::PARTITION => partition = u32::try_from(number).ok(),
                    layout::SEQ => seq = u64::try_from(number).ok(),
                    layout::CREATED_AT => time = number,
                    _ => {}
                }
                number.to_string()
            }
            other => format!("{other:?}"),
        };
        values.entry(name).or_default().push(told);
    }
    let field = |(name, values): (&str, Vec<String>)| -> Field {
        let text = match &values[..] {
            [one] if name != layout::DETECTION_RULES => one.clone(),
            many => serde_json::to_string(many).unwrap_or_default(),
        };
        (Cow::Owned(name.to_owned()), Some(text))
    };
    let fields = values.into_iter().map(field).collect();
    let at = partition.zip(seq).map_or(NOWHERE, |(partition, seq)| SeqPosition { partition, seq });
    Row { id, time, ..Row::new(ALERTS, at, fields) }
}

/// Alerts of a partition, from a `seq` up to another.
fn of(fields: Fields, partition: u32, from: Seq, to: Seq) -> Box<dyn Query> {
    let seq = |seq: Seq| Term::from_field_i64(fields.seq, i64::try_from(seq).unwrap_or(i64::MAX));
    let partition: Box<dyn Query> = Box::new(TermQuery::new(Term::from_field_i64(fields.partition, i64::from(partition)), IndexRecordOption::Basic));
    let seqs: Box<dyn Query> = Box::new(RangeQuery::new(Bound::Included(seq(from)), Bound::Excluded(seq(to))));
    Box::new(BooleanQuery::intersection(vec![partition, seqs]))
}

/// Alerts at one position.
pub(super) fn at(fields: Fields, at: SeqPosition) -> Box<dyn Query> {
    of(fields, at.partition, at.seq, at.seq + 1)
}

/// Appends the rows of a record.
fn expect(schema: &Schema, fields: Fields, topic: &str, record: &Stored, out: &mut Vec<Row>) {
    if topic == RISK_ALERTS {
        let Ok(Some(pattern)) = PatternRow::read(record) else { return };
        out.extend(pattern.told().map(|told| row(schema, &fields.document(&told, record.append_time))));
        return;
    }
    let Ok(scored) = serde_json::from_slice::<dialect::Row<'_>>(&record.value) else { return };
    if scored.risk_score.is_some() {
        out.extend(scored.told().map(|told| row(schema, &fields.document(&told, record.append_time))));
    }
}

#[async_trait]
impl StoredRows for TantivyRows {
    fn role(&self) -> &'static str {
        "search"
    }

    fn topics(&self) -> &'static [&'static str] {
        &[RISK_SCORES, RISK_ALERTS]
    }

    fn grain(&self) -> u64 {
        1
    }

    async fn refresh(&mut self) -> Result<(), Reaction> {
        Ok(())
    }

    async fn reached(&mut self, topic: &str) -> Result<Vec<Reached>, Reaction> {
        let (stream, folder) = (stream_of(topic).to_owned(), Arc::clone(&self.folder));
        self.look(move |index, _, _| {
            let metas = index.load_metas().map_err(|error| reaction(&folder, &error))?;
            let payload: Payload = match metas.payload {
                None => Payload::new(),
                Some(text) => serde_json::from_str(&text).map_err(|error| Reaction::fatal(format!("search: the index's positions cannot be read: {error}")))?,
            };
            let reached = |(partition, published): (&u32, &dialect::Published)| Reached { partition: *partition, visible: published.position(*partition).visible_seq, floor: 0 };
            Ok(payload.get(&stream).into_iter().flatten().map(reached).collect())
        })
        .await
    }

    async fn kept_since(&mut self, _now: i64) -> Result<Option<i64>, Reaction> {
        Ok(None)
    }

    fn expected(&self, topic: &'static str) -> Box<dyn Expected> {
        let schema = layout::alert_schema();
        // The schema is our own: it has every field.
        let fields = Fields::of(&schema).ok();
        Box::new(Plain::new(topic, move |topic, record, out| {
            if let Some(fields) = fields {
                expect(&schema, fields, topic, record, out);
            }
        }))
    }

    async fn stored(&mut self, _topic: &'static str, span: &Span, _expected: &[Row]) -> Result<Vec<Row>, Reaction> {
        let span = *span;
        self.rows(move |fields| of(fields, span.rows, span.from, span.to), usize::MAX).await
    }

    async fn elsewhere(&mut self, ids: &[&str]) -> Result<Vec<(String, SeqPosition)>, Reaction> {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let rows =
            self.rows(move |fields| Box::new(BooleanQuery::new_multiterms_query(ids.iter().map(|id| Term::from_field_text(fields.alert_id, id)).collect())), usize::MAX).await?;
        Ok(rows.into_iter().map(|row| (row.id, row.at)).collect())
    }

    async fn strays(&mut self, known: &[Known], limit: usize) -> Result<Vec<Row>, Reaction> {
        let known = known.to_vec();
        self.rows(
            move |fields| {
                let all: Box<dyn Query> = Box::new(AllQuery);
                let mut clauses = vec![(Occur::Must, all)];
                clauses.extend(known.iter().map(|known| (Occur::MustNot, of(fields, known.rows, 0, known.below))));
                Box::new(BooleanQuery::new(clauses))
            },
            limit,
        )
        .await
    }
}
