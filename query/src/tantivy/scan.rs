//! Scanning `search.alerts`.
//!
//! What must stay true: a document that was deleted is never seen; relevance is computed only where a `match` was asked and
//! `_score` is wanted; the store of whole documents is read only for columns that have no column of their own, and where only the first
//! documents in an order are wanted, only for those.

use std::sync::Arc;

use ::tantivy::columnar::{Column, StrColumn};
use ::tantivy::index::SegmentReader;
use ::tantivy::query::EnableScoring;
use ::tantivy::schema::{Field, Value as _};
use ::tantivy::store::StoreReader;
use ::tantivy::{DocId, Score, TERMINATED, TantivyDocument, TantivyError};
use arrow::datatypes::SchemaRef;

use super::count::{self, SearchCount};
use super::dialect;
use super::index::SearchIndex;
use super::top::{First, Place, Rank};
use crate::aggregate::Aggregation;
use crate::batch::{BatchBuilder, Cell};
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::predicate::Predicate;
use crate::search::{Kind, kind};
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// Blocks of documents kept uncompressed while reading in their order.
const STORE_BLOCKS: usize = 4;

/// The index, as something that can be scanned.
#[derive(Clone, Debug)]
pub(crate) struct SearchScan {
    pub(crate) index: Arc<SearchIndex>,
    pub(crate) schema: SchemaRef,
}

impl Scan for SearchScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn support(&self, predicate: &Predicate) -> Result<Support, QueryError> {
        dialect::support(&self.schema, predicate)
    }

    fn sorts(&self, _order: &[Order]) -> bool {
        // All documents would have to be held.
        false
    }

    fn ranks(&self, order: &[Order]) -> bool {
        order.iter().all(|by| matches!(kind(&self.schema, by.column), Kind::Number | Kind::Whole | Kind::Computed))
    }

    fn is_unique(&self, column: usize) -> bool {
        self.schema.field(column).name() == wh_stores::alerts::ALERT_ID
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        let (_, searcher) = self.index.searcher()?;
        Ok(Survey { rows: usize::try_from(searcher.num_docs()).ok(), keys: Vec::new() })
    }

    fn prepare(&self, request: &Request, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        Ok(Arc::new(SearchQuery { scan: self.clone(), request: request.clone() }))
    }

    fn aggregates(&self, _request: &Request, aggregation: &Aggregation) -> bool {
        count::takes(&self.schema, aggregation)
    }

    fn prepare_aggregate(&self, request: &Request, aggregation: &Aggregation, _survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        Ok(Arc::new(SearchCount { scan: self.clone(), request: request.clone(), aggregation: aggregation.clone() }))
    }
}

/// A query of the index, ready to run.
#[derive(Debug)]
struct SearchQuery {
    scan: SearchScan,
    request: Request,
}

/// Why a scan ends early.
enum Ended {
    /// No more rows are wanted.
    Done,
    Failed(QueryError),
}

impl From<QueryError> for Ended {
    fn from(error: QueryError) -> Self {
        Ended::Failed(error)
    }
}

impl Prepared for SearchQuery {
    fn text(&self) -> String {
        let text = dialect::text(&self.scan.schema, &self.request.predicates);
        let by = |by: &Order| format!("{}{}", self.scan.schema.field(by.column).name(), if by.descending { " DESC" } else { "" });
        let order: Vec<String> = self.request.order.iter().map(by).collect();
        match self.request.limit {
            Some(limit) if !order.is_empty() => format!("{text} (the first {limit} by {})", order.join(", ")),
            _ => text,
        }
    }

    fn parts(&self) -> usize {
        1
    }

    fn run(&self, _part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        match self.hand_over(late, sink) {
            Ok(()) | Err(Ended::Done) => Ok(()),
            Err(Ended::Failed(error)) => Err(error),
        }
    }
}

impl SearchQuery {
    fn hand_over(&self, late: &[Predicate], sink: &mut Sink) -> Result<(), Ended> {
        let failed = |error: TantivyError| Ended::Failed(self.scan.index.failed(&error));
        let damaged = |what: &dyn std::fmt::Display| Ended::Failed(self.scan.index.failed(what));
        let (index, searcher) = self.scan.index.searcher()?;
        let predicates: Vec<Predicate> = self.request.predicates.iter().chain(late).cloned().collect();
        let wants_score = self.request.projection.iter().any(|column| kind(&self.scan.schema, *column) == Kind::Computed);
        let scored = wants_score && predicates.iter().any(Predicate::has_match);
        let query = dialect::query(&self.scan.schema, &predicates, &index)?;
        let scoring = if scored { EnableScoring::enabled_from_searcher(&searcher) } else { EnableScoring::disabled_from_searcher(&searcher) };
        let weight = query.weight(scoring).map_err(failed)?;
        let mut batch = BatchBuilder::new(sink.schema(), sink.batch_rows()).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))?;
        let segments = searcher.segment_readers().iter().map(|segment| self.segment(segment)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let mut text = String::new();
        let mut hand_over = |(place, doc): Place, score: Option<Score>| -> Result<(), Ended> {
            let Some(segment) = segments.get(place) else { return Err(QueryError::internal("a segment that there is not").into()) };
            self.put(segment, doc, score, &mut text, &mut batch)?;
            if batch.is_full() && !sink.send(batch.finish().map_err(|error| damaged(&error))?) { Err(Ended::Done) } else { Ok(()) }
        };
        let mut first = self.request.limit.filter(|_| !self.request.order.is_empty()).map(|limit| First::new(&self.request.order, limit));
        for (place, segment) in searcher.segment_readers().iter().enumerate() {
            let by = self.request.order.iter().map(|by| self.source(segment, by.column)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
            let mut scorer = weight.scorer(segment, 1.0).map_err(failed)?;
            loop {
                let doc = scorer.doc();
                if doc == TERMINATED {
                    break;
                }
                if !segment.is_deleted(doc) {
                    let score = if scored { Some(scorer.score()) } else { None };
                    match &mut first {
                        Some(first) => first.offer((place, doc), score, |at| by.get(at).map_or(Ok(Rank::Null), |source| source.rank(doc, score))).map_err(failed)?,
                        None => hand_over((place, doc), score)?,
                    }
                }
                scorer.advance();
            }
        }
        for found in first.map(First::found).unwrap_or_default() {
            hand_over(found.place, found.score)?;
        }
        if !batch.is_empty() {
            sink.send(batch.finish().map_err(|error| damaged(&error))?);
        }
        Ok(())
    }

    /// Adds a document's row.
    fn put(&self, segment: &Segment, doc: DocId, score: Option<Score>, text: &mut String, batch: &mut BatchBuilder) -> Result<(), QueryError> {
        let failed = |error: TantivyError| self.scan.index.failed(&error);
        let document = segment.store.as_ref().map(|store| store.get::<TantivyDocument>(doc)).transpose().map_err(failed)?;
        for (place, column) in segment.columns.iter().enumerate() {
            let cell = match (column, score) {
                (Source::Score, Some(score)) => Cell::Float(f64::from(score)),
                _ => column.cell(doc, document.as_ref(), text).map_err(failed)?,
            };
            batch.push(place, cell).map_err(|misfit| self.scan.index.failed(&misfit))?;
        }
        batch.end_row();
        Ok(())
    }

    /// What is read of a segment.
    fn segment(&self, segment: &SegmentReader) -> Result<Segment, TantivyError> {
        let columns = self.request.projection.iter().map(|column| self.source(segment, *column)).collect::<Result<Vec<_>, _>>()?;
        let store = if columns.iter().any(Source::is_stored) { Some(segment.get_store_reader(STORE_BLOCKS)?) } else { None };
        Ok(Segment { columns, store })
    }

    /// Where a segment keeps the column at `index`.
    fn source(&self, segment: &SegmentReader, index: usize) -> Result<Source, TantivyError> {
        let name = self.scan.schema.field(index).name();
        Ok(match kind(&self.scan.schema, index) {
            Kind::Number => Source::Number(segment.fast_fields().i64(name)?),
            Kind::Whole => Source::Whole(segment.fast_fields().str(name)?),
            Kind::Analysed => Source::Stored(segment.schema().get_field(name)?),
            Kind::Many => Source::Many(segment.schema().get_field(name)?),
            Kind::Computed => Source::Score,
        })
    }
}

/// What is read of a segment: its columns, and the store of whole documents where one of them is in there.
struct Segment {
    columns: Vec<Source>,
    store: Option<StoreReader>,
}

/// Where a segment keeps a column.
enum Source {
    Number(Column<i64>),
    /// None in a segment without a single value.
    Whole(Option<StrColumn>),
    Stored(Field),
    Many(Field),
    Score,
}

impl Source {
    fn is_stored(&self) -> bool {
        matches!(self, Source::Stored(_) | Source::Many(_))
    }

    /// What a document is sorted by; of columns that have no column of their own it is never asked.
    fn rank(&self, doc: DocId, score: Option<Score>) -> Result<Rank, TantivyError> {
        Ok(match self {
            Source::Number(column) => column.first(doc).map_or(Rank::Null, Rank::Number),
            Source::Whole(Some(column)) => match column.ords().first(doc) {
                Some(ordinal) => {
                    let mut text = String::new();
                    column.ord_to_str(ordinal, &mut text)?;
                    Rank::Text(text)
                }
                None => Rank::Null,
            },
            Source::Score => score.map_or(Rank::Null, Rank::Score),
            Source::Whole(None) | Source::Stored(_) | Source::Many(_) => Rank::Null,
        })
    }

    /// A document's value; a missing one is NULL, which the batch does not take where none may be.
    fn cell<'t>(&self, doc: DocId, document: Option<&TantivyDocument>, text: &'t mut String) -> Result<Cell<'t>, TantivyError> {
        match self {
            Source::Number(column) => return Ok(column.first(doc).map_or(Cell::Null, Cell::Int)),
            Source::Score => return Ok(Cell::Null),
            Source::Whole(column) => {
                let Some(column) = column else { return Ok(Cell::Null) };
                let Some(ordinal) = column.ords().first(doc) else { return Ok(Cell::Null) };
                text.clear();
                column.ord_to_str(ordinal, text)?;
            }
            Source::Stored(field) => {
                let Some(value) = document.and_then(|document| document.get_first(*field)).and_then(|value| value.as_str()) else { return Ok(Cell::Null) };
                text.clear();
                text.push_str(value);
            }
            Source::Many(field) => {
                text.clear();
                text.push('[');
                for (i, value) in document.into_iter().flat_map(|document| document.get_all(*field)).enumerate() {
                    if i > 0 {
                        text.push(',');
                    }
                    wh_schemas::json::write_string(value.as_str().unwrap_or_default(), text);
                }
                text.push(']');
            }
        }
        Ok(Cell::Text(text.as_bytes()))
    }
}
