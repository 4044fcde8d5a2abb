//! Scanning the documents of a MongoDB database.
//!
//! What must stay true: positions are read first, then the documents below them, so that no document is seen whose position is not; the
//! documents of all parts together are those of one scan; a page at a time is held; the server's cursor ends with the scan. Of a document
//! beside which a text is kept it is judged here whether its members meet what is asked, so that the server is given no limit then.

use std::sync::Arc;

use ::mongodb::bson::{Document, RawDocument, RawDocumentBuf};
use ::mongodb::raw_batch_cursor::RawBatchCursor;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use wh_schemas::Reaction;
use wh_schemas::position::SEQ_BITS;
use wh_stores::mongodb::Connected;
use wh_stores::mongodb::layout::DOCUMENTS;

use super::aggregate_scan::MongodbAggregate;
use super::aggregates;
use super::columns::Table;
use super::dialect::{self, Asked};
use super::keys::{self, Range, Visible, unpacked};
use super::questions::{self, Find, Sorting};
use super::store::MongodbDocuments;
use crate::aggregate::Aggregation;
use crate::batch::BatchBuilder;
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::parts::{DIVIDED_SHARE, Turn, Turns};
use crate::predicate::Predicate;
use crate::store::wait;
use crate::surveys::Surveys;
use crate::table::{Order, Prepared, Request, Scan, Support, Survey};

/// Documents of one page.
pub(super) const PAGE: u32 = 2_000;
/// Documents below which a scan is not divided.
const DIVIDED_FROM: usize = 200_000;
/// Every key.
pub(super) const EVERYWHERE: Range = (i64::MIN, i64::MAX);

/// One of the two tables, as something that can be scanned.
#[derive(Clone, Debug)]
pub(super) struct MongodbScan {
    pub(super) store: Arc<MongodbDocuments>,
    pub(super) table: Arc<Table>,
    surveys: Arc<Surveys>,
}

impl Scan for MongodbScan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.table.shape.schema)
    }

    fn support(&self, predicate: &Predicate) -> Result<Support, QueryError> {
        Ok(dialect::support(&self.table, predicate))
    }

    fn sorts(&self, order: &[Order]) -> bool {
        questions::key_order(&self.table, order).is_some()
    }

    fn ranks(&self, order: &[Order]) -> bool {
        questions::sorting(&self.table, order).is_some()
    }

    fn is_unique(&self, column: usize) -> bool {
        self.table.shape.is_unique(column)
    }

    fn survey(&self) -> Result<Survey, QueryError> {
        self.surveys.recent(|| self.look())
    }

    fn surveyed(&self) -> Option<Survey> {
        self.surveys.known()
    }

    fn prepare(&self, request: &Request, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        let visible = visible(survey);
        let asked = self.asked(request, &[])?;
        let ranges = self.table.keys.ranges(&visible, &asked.keyed, EVERYWHERE);
        let parts = self.divided(request, survey, &asked, &ranges);
        let projection = self.table.projection(&request.projection, &asked.members);
        let sorting = questions::sorting(&self.table, &request.order).ok_or_else(|| QueryError::internal("MongoDB was asked for an order that it does not have"))?;
        let text = questions::shown(&asked, &projection, &ranges, &sorting, request.limit, parts.len());
        Ok(Arc::new(MongodbQuery { scan: self.clone(), request: request.clone(), projection, sorting, parts, turns: Turns::default(), text }))
    }

    fn aggregates(&self, request: &Request, aggregation: &Aggregation) -> bool {
        let has_members = request.predicates.iter().any(Predicate::has_member);
        aggregates::takes(&self.table, aggregation) && (!has_members || aggregates::is_one_group(aggregation))
    }

    fn prepare_aggregate(&self, request: &Request, aggregation: &Aggregation, survey: &Survey) -> Result<Arc<dyn Prepared>, QueryError> {
        Ok(Arc::new(MongodbAggregate::new(self.clone(), request.clone(), aggregation.clone(), &visible(survey))?))
    }
}

/// What could be seen when it was looked at.
fn visible(survey: &Survey) -> Vec<Visible> {
    let seen = |(first, last): &(i64, i64)| Visible { partition: unpacked(*first).0, floor: unpacked(*first).1, next: unpacked(*last).1 + 1 };
    survey.keys.iter().map(seen).collect()
}

impl MongodbScan {
    pub(super) fn new(store: Arc<MongodbDocuments>, table: Table) -> MongodbScan {
        MongodbScan { store, table: Arc::new(table), surveys: Arc::default() }
    }

    /// What may be seen of the documents now. Blocks.
    fn look(&self) -> Result<Survey, QueryError> {
        let (_, visible) = wait(self.store.visible())?;
        let keys: Vec<(i64, i64)> = visible
            .iter()
            .filter(|seen| seen.floor < seen.next)
            .map(|seen| {
                let base = seen.partition << SEQ_BITS;
                (base + seen.floor, base + seen.next - 1)
            })
            .collect();
        let rows: i64 = keys.iter().map(|(first, last)| last - first + 1).sum();
        Ok(Survey { rows: usize::try_from(rows).ok(), keys })
    }

    /// What is asked, taken apart.
    pub(super) fn asked<'a>(&self, request: &'a Request, late: &'a [Predicate]) -> Result<Asked<'a>, QueryError> {
        dialect::taken_apart(&self.table, request.predicates.iter().chain(late))
            .ok_or_else(|| QueryError::internal(format!("{} was asked what MongoDB cannot answer", self.table.shape.name)))
    }

    /// Ranges of keys for each part: even shares of all keys, where the scan reads most of a large table in any order.
    fn divided(&self, request: &Request, survey: &Survey, asked: &Asked<'_>, ranges: &[Range]) -> Vec<Range> {
        let rows = survey.rows.unwrap_or(0);
        let all = rows as f64;
        let unique = |column: usize| self.table.shape.is_unique(column);
        let share: f64 = request.predicates.iter().map(|p| p.selectivity(all, &unique)).product();
        if request.parts < 2 || rows < DIVIDED_FROM || share < DIVIDED_SHARE || !request.order.is_empty() || asked.by_transaction {
            return vec![EVERYWHERE];
        }
        keys::divided(ranges, request.parts)
    }
}

/// A question that was put.
type Opened = Result<RawBatchCursor, Reaction>;

/// A query, ready to run.
#[derive(Debug)]
struct MongodbQuery {
    scan: MongodbScan,
    request: Request,
    projection: Document,
    sorting: Sorting,
    parts: Vec<Range>,
    turns: Turns,
    text: String,
}

impl Prepared for MongodbQuery {
    fn text(&self) -> String {
        self.text.clone()
    }

    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn run(&self, part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let store = &self.scan.store;
        let Some(connected) = sink.wait(store.connected()) else { return Ok(()) };
        let connected = connected?;
        let asked = self.scan.asked(&self.request, late)?;
        // The index of transactions finds them wherever they are.
        let within = match self.turns.of(part, || asked.by_transaction) {
            Turn::Share => self.parts.get(part).copied().unwrap_or(EVERYWHERE),
            Turn::All => EVERYWHERE,
            Turn::Nothing => return Ok(()),
        };
        let finds = |visible: &[Visible]| questions::finds(&asked, self.scan.table.keys.ranges(visible, &asked.keyed, within), &self.sorting);
        let is_counted = |find: &Find| self.request.projection.is_empty() && find.seen.is_none() && asked.members.is_empty();
        let ask = async |visible: &Vec<Visible>| -> Result<Option<Opened>, QueryError> {
            match finds(visible).first() {
                Some(find) if !is_counted(find) => Ok(Some(self.open(connected, find, &asked.members).await)),
                _ => Ok(None),
            }
        };
        let found = async || -> Result<Vec<Visible>, QueryError> { Ok(store.visible().await?.1) };
        let Some(begun) = sink.wait(store.settled.at_once(found, ask)) else { return Ok(()) };
        let (visible, mut first) = begun?;
        let mut batch = BatchBuilder::new(sink.schema(), sink.batch_rows()).ok_or_else(|| QueryError::internal("a column has a type that no store gives"))?;
        for find in finds(&visible) {
            let wanted = if is_counted(&find) {
                self.count(connected, find, &mut batch, sink)?
            } else {
                let Some(opened) = first.take().or_else(|| sink.wait(self.open(connected, &find, &asked.members))) else { return Ok(()) };
                self.read(connected, opened, &find, &asked.members, &mut batch, sink)?
            };
            if !wanted {
                return Ok(());
            }
        }
        if !batch.is_empty() {
            sink.send(self.finished(&mut batch)?);
        }
        Ok(())
    }
}

impl MongodbQuery {
    fn finished(&self, batch: &mut BatchBuilder) -> Result<arrow::array::RecordBatch, QueryError> {
        batch.finish().map_err(|error| self.scan.store.damaged(0, &error))
    }

    /// Puts a question.
    async fn open(&self, connected: &Connected, find: &Find, members: &[&Predicate]) -> Opened {
        let documents = connected.collection::<RawDocumentBuf>(DOCUMENTS);
        let limit = self.request.limit.and_then(|limit| i64::try_from(limit).ok());
        let page = limit.and_then(|limit| u32::try_from(limit).ok()).map_or(PAGE, |limit| limit.clamp(1, PAGE));
        let mut question = documents.find(find.filter.clone()).projection(self.projection.clone()).batch_size(page);
        if let Some(keys) = &find.sort {
            question = question.sort(keys.clone());
        }
        let limit = limit.filter(|_| find.seen.is_none() && members.is_empty());
        question = match (limit, &self.sorting) {
            (Some(limit), _) => question.limit(limit),
            // What is sorted without a limit may be more than the server holds.
            (None, Sorting::Fields(_)) => question.allow_disk_use(true),
            (None, _) => question,
        };
        connected.page(question.batch()).await
    }

    /// Reads what a question gives, judged by these conditions. Returns `false` when no more rows are wanted.
    fn read(&self, connected: &Connected, opened: Opened, find: &Find, members: &[&Predicate], batch: &mut BatchBuilder, sink: &mut Sink) -> Result<bool, QueryError> {
        let store = &self.scan.store;
        let mut cursor = opened.map_err(|reaction| store.failed(&reaction))?;
        let mut text = String::new();
        loop {
            let Some(page) = sink.wait(connected.page(async { cursor.next().await.transpose() })) else { return Ok(false) };
            let Some(page) = page.map_err(|reaction| store.failed(&reaction))? else { return Ok(true) };
            for document in page.doc_slices().map_err(|error| store.failed(&connected.told(&error)))? {
                let document = document.ok().and_then(|value| value.as_document()).ok_or_else(|| store.damaged(0, &"no document"))?;
                self.row(document, find.seen.as_deref(), members, &mut text, batch)?;
                // Nobody waits for a batch to be full who wants no more.
                if (batch.is_full() || batch.rows() >= sink.left()) && !sink.send(self.finished(batch)?) {
                    return Ok(false);
                }
            }
        }
    }

    /// Adds a document's row, where it may be seen and is asked for.
    fn row(&self, document: &RawDocument, seen: Option<&[Range]>, members: &[&Predicate], text: &mut String, batch: &mut BatchBuilder) -> Result<(), QueryError> {
        let store = &self.scan.store;
        let key = document.get_i64("_id").map_err(|_| store.damaged(0, &"its _id is no 64-bit integer"))?;
        if seen.is_some_and(|ranges| !keys::contain(ranges, key)) || !self.scan.table.passes(document, members).map_err(|what| store.damaged(key, &what))? {
            return Ok(());
        }
        self.scan.table.put(document, key, &self.request.projection, text, batch).map_err(|what| store.damaged(key, &what))
    }

    /// Counts what a question gives, and hands over so many rows without columns. Returns `false` when no more rows are wanted.
    fn count(&self, connected: &Connected, find: Find, batch: &mut BatchBuilder, sink: &mut Sink) -> Result<bool, QueryError> {
        let documents = connected.collection::<RawDocumentBuf>(DOCUMENTS);
        let mut question = documents.count_documents(find.filter);
        if let Some(limit) = self.request.limit {
            question = question.limit(limit as u64);
        }
        let Some(counted) = sink.wait(connected.page(question)) else { return Ok(false) };
        let mut left = usize::try_from(counted.map_err(|reaction| self.scan.store.failed(&reaction))?).unwrap_or(usize::MAX);
        while left > 0 {
            let rows = left.min(sink.batch_rows());
            left -= rows;
            batch.end_rows(rows);
            if !sink.send(self.finished(batch)?) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
