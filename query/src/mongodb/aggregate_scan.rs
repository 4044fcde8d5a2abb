//! Reading groups of the documents of a MongoDB database.
//!
//! What must stay true: positions are read first, then the documents below them, so that no document counts whose position is not seen; the
//! server groups on its disk what does not fit into its memory; a page of groups at a time is held; its cursor ends with the scan. Documents
//! beside which a text is kept count where the text says so, which is told here: they are then named to the server.

use ::mongodb::bson::{Document, RawDocumentBuf, doc};
use futures::StreamExt;
use wh_stores::mongodb::Connected;
use wh_stores::mongodb::layout::DOCUMENTS;

use super::aggregates;
use super::dialect::{self, Asked};
use super::keys::{Range, Visible};
use super::questions;
use super::scan::{EVERYWHERE, MongodbScan, PAGE};
use crate::aggregate::Aggregation;
use crate::errors::QueryError;
use crate::exec::Sink;
use crate::partial::Groups;
use crate::predicate::Predicate;
use crate::table::{Prepared, Request};

/// Most documents that are named to the server because of their texts.
const MAX_JUDGED: usize = 100_000;

/// An aggregation, ready to run.
#[derive(Debug)]
pub(super) struct MongodbAggregate {
    scan: MongodbScan,
    request: Request,
    aggregation: Aggregation,
    /// What is done with the documents that are found.
    stages: Vec<Document>,
    text: String,
}

impl MongodbAggregate {
    /// Writes its pipeline. Pure.
    pub(super) fn new(scan: MongodbScan, request: Request, aggregation: Aggregation, visible: &[Visible]) -> Result<MongodbAggregate, QueryError> {
        let text = scan.asked(&request, &[])?.members.iter().find_map(|member| scan.table.text_of(member));
        let stages = aggregates::stages(&scan.table, &aggregation, text).ok_or_else(|| QueryError::internal("MongoDB was asked for groups that it cannot give"))?;
        let text = {
            let asked = scan.asked(&request, &[])?;
            let ranges = scan.table.keys.ranges(visible, &asked.keyed, EVERYWHERE);
            shown(&asked, &stages, &ranges)
        };
        Ok(MongodbAggregate { scan, request, aggregation, stages, text })
    }
}

/// What is asked, for EXPLAIN.
fn shown(asked: &Asked<'_>, stages: &[Document], ranges: &[Range]) -> String {
    let found = (!asked.filter.is_empty()).then(|| doc! { "$match": asked.filter.clone() });
    let stages: Vec<String> = found.iter().chain(stages).map(ToString::to_string).collect();
    format!("db.documents.aggregate([{}]){}", stages.join(", "), questions::keys_shown(ranges))
}

impl Prepared for MongodbAggregate {
    fn text(&self) -> String {
        self.text.clone()
    }

    fn parts(&self) -> usize {
        1
    }

    fn run(&self, _part: usize, late: &[Predicate], sink: &mut Sink) -> Result<(), QueryError> {
        let store = &self.scan.store;
        let mut out = Groups::new(&self.aggregation, sink)?;
        let Some(opened) = out.sink().wait(store.visible()) else { return Ok(()) };
        let (connected, visible) = opened?;
        let asked = self.scan.asked(&self.request, late)?;
        let ranges = self.scan.table.keys.ranges(&visible, &asked.keyed, EVERYWHERE);
        let misfit = |what: String| store.failed_group(&what);
        if ranges.is_empty() {
            return out.end().map_err(misfit);
        }
        let documents = connected.collection::<RawDocumentBuf>(DOCUMENTS);
        let (mut filter, mut is_judged) = (questions::seen_within(&asked, &ranges), asked.members.is_empty());
        'asking: loop {
            let found = doc! { "$match": filter.clone() };
            let question = documents.aggregate(std::iter::once(found).chain(self.stages.iter().cloned())).allow_disk_use(true).batch_size(PAGE);
            let Some(opened) = out.sink().wait(connected.page(question.batch())) else { return Ok(()) };
            let mut cursor = opened.map_err(|reaction| store.failed(&reaction))?;
            loop {
                let Some(page) = out.sink().wait(connected.page(async { cursor.next().await.transpose() })) else { return Ok(()) };
                let Some(page) = page.map_err(|reaction| store.failed(&reaction))? else { break 'asking };
                for document in page.doc_slices().map_err(|error| store.failed(&connected.told(&error)))? {
                    let document = document.ok().and_then(|value| value.as_document()).ok_or_else(|| misfit("no document".to_owned()))?;
                    // Nothing was handed over yet: there is one group.
                    if !is_judged && aggregates::texts(document).map_err(misfit)? > 0 {
                        let Some(judged) = self.judged(connected, filter, &asked.members, out.sink())? else { return Ok(()) };
                        (filter, is_judged) = (judged, true);
                        continue 'asking;
                    }
                    let part = aggregates::group(&self.aggregation, document).map_err(misfit)?;
                    if !out.add(part).map_err(misfit)? {
                        return Ok(());
                    }
                }
            }
        }
        out.end().map_err(misfit)
    }
}

impl MongodbAggregate {
    /// The filter that matches, of the documents beside which a text is kept, those alone of which the text meets these conditions. `None` when
    /// nobody wants to know any more.
    fn judged(&self, connected: &Connected, filter: Document, members: &[&Predicate], sink: &Sink) -> Result<Option<Document>, QueryError> {
        let (store, table) = (&self.scan.store, &self.scan.table);
        let Some(text) = members.iter().find_map(|member| table.text_of(member)) else { return Ok(Some(filter)) };
        let documents = connected.collection::<RawDocumentBuf>(DOCUMENTS);
        let found = dialect::all(vec![filter.clone(), doc! { text: { "$exists": true } }]);
        let question = documents.find(found).projection(table.projection(&[], members)).batch_size(PAGE);
        let Some(opened) = sink.wait(connected.page(question.batch())) else { return Ok(None) };
        let mut cursor = opened.map_err(|reaction| store.failed(&reaction))?;
        let mut keys: Vec<i64> = Vec::new();
        loop {
            let Some(page) = sink.wait(connected.page(async { cursor.next().await.transpose() })) else { return Ok(None) };
            let Some(page) = page.map_err(|reaction| store.failed(&reaction))? else { break };
            for document in page.doc_slices().map_err(|error| store.failed(&connected.told(&error)))? {
                let document = document.ok().and_then(|value| value.as_document()).ok_or_else(|| store.damaged(0, &"no document"))?;
                let key = document.get_i64("_id").map_err(|_| store.damaged(0, &"its _id is no 64-bit integer"))?;
                if table.passes(document, members).map_err(|what| store.damaged(key, &what))? {
                    keys.push(key);
                }
            }
            if keys.len() > MAX_JUDGED {
                return Err(QueryError::Refused {
                    message: format!("more than {MAX_JUDGED} documents that are asked for keep their JSON as text, which only Wardhouse can judge"),
                    hint: Some("SET wardhouse.pushdown = 'off' computes it here".to_owned()),
                });
            }
        }
        let judged = dialect::any(vec![doc! { text: { "$exists": false } }, doc! { "_id": { "$in": keys } }]);
        Ok(Some(dialect::all(vec![filter, judged])))
    }
}
