//! Putting the embedded index right.
//!
//! What must stay true: what is removed and what is written again become visible in one commit, which moves no position.

use async_trait::async_trait;
use tantivy::query::{Query, TermQuery};
use tantivy::schema::IndexRecordOption;
use tantivy::{IndexWriter, TantivyDocument, Term};
use wh_schemas::Reaction;

use super::reconcile::at;
use super::sink::{SearchStore, reaction};
use crate::delivery::{Batch, Store};
use crate::reconcile::{NOWHERE, Repair, Row};

#[async_trait]
impl Repair for SearchStore {
    async fn repair(&mut self, rows: &[Row], batch: Batch) -> Result<(), Reaction> {
        let (fields, rows) = (self.fields, rows.to_vec());
        self.blocking(move |writer: &mut IndexWriter<TantivyDocument>, folder| {
            for row in &rows {
                // Of a position every alert goes; the one that belongs there is written again.
                let gone: Box<dyn Query> =
                    if row.at == NOWHERE { Box::new(TermQuery::new(Term::from_field_text(fields.alert_id, &row.id), IndexRecordOption::Basic)) } else { at(fields, row.at) };
                writer.delete_query(gone).map_err(|error| reaction(folder, &error))?;
            }
            Ok(())
        })
        .await?;
        // Marks that there is something to commit, even where nothing is written again.
        self.replay(batch).await?;
        self.publish().await.map(drop)
    }
}
