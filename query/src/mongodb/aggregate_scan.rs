//! Reading groups of the documents of a MongoDB database.
//!
//! What must stay true: positions are read first, then the documents below them, so that no document counts whose position is not seen; the
//! server groups on its disk what does not fit into its memory; a page of groups at a time is held; its cursor ends with the scan.

use ::mongodb::bson::{Document, RawDocumentBuf, doc};
use ::mongodb::options::Hint;
use futures::StreamExt;
use wh_stores::mongodb::layout::{BY_TRANSACTION, DOCUMENTS};

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
        let stages = aggregates::stages(&scan.table, &aggregation).ok_or_else(|| QueryError::internal("MongoDB was asked for groups that it cannot give"))?;
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
    let hint = if asked.by_transaction { ", { hint: \"transaction_id\" }" } else { "" };
    format!("db.documents.aggregate([{}]{hint}){}", stages.join(", "), questions::keys_shown(ranges))
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
        let filters = std::iter::once(questions::within(&ranges)).chain((!asked.filter.is_empty()).then(|| asked.filter.clone()));
        let found = doc! { "$match": dialect::all(filters.collect()) };
        let documents = connected.collection::<RawDocumentBuf>(DOCUMENTS);
        let mut question = documents.aggregate(std::iter::once(found).chain(self.stages.iter().cloned())).allow_disk_use(true).batch_size(PAGE);
        if asked.by_transaction {
            question = question.hint(Hint::Name(BY_TRANSACTION.to_owned()));
        }
        let Some(opened) = out.sink().wait(connected.page(question.batch())) else { return Ok(()) };
        let mut cursor = opened.map_err(|reaction| store.failed(&reaction))?;
        loop {
            let Some(page) = out.sink().wait(connected.page(async { cursor.next().await.transpose() })) else { return Ok(()) };
            let Some(page) = page.map_err(|reaction| store.failed(&reaction))? else { break };
            for document in page.doc_slices().map_err(|error| store.failed(&connected.told(&error)))? {
                let document = document.ok().and_then(|value| value.as_document()).ok_or_else(|| misfit("no document".to_owned()))?;
                let part = aggregates::group(&self.aggregation, document).map_err(misfit)?;
                if !out.add(part).map_err(misfit)? {
                    return Ok(());
                }
            }
        }
        out.end().map_err(misfit)
    }
}
