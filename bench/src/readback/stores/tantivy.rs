//! The alerts in a Tantivy index: a look opens what was committed last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::tantivy::schema::Field;
use ::tantivy::{Index, IndexReader, ReloadPolicy, Searcher, TantivyError, Term};
use async_trait::async_trait;
use serde::Deserialize;
use tokio::task::block_in_place;
use wh_schemas::Reaction;
use wh_stores::tantivy::layout;

use super::super::{Look, Sample};
use super::size_of;

/// A reader of the index.
pub(super) struct Search {
    folder: PathBuf,
    index: Index,
    reader: IndexReader,
    alert_id: Field,
}

#[derive(Deserialize)]
struct Published {
    #[serde(default)]
    next_seq: u64,
}

impl Search {
    pub(super) fn open(folder: &Path) -> Result<Search, Reaction> {
        let told = |error: TantivyError| told(folder, &error);
        let index = Index::open_in_dir(folder).map_err(told)?;
        layout::register_analyzer(&index);
        let alert_id = index.schema().get_field(layout::ALERT_ID).map_err(told)?;
        let reader: Result<IndexReader, TantivyError> = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into();
        Ok(Search { folder: folder.to_owned(), reader: reader.map_err(told)?, index, alert_id })
    }

    fn searcher(&self) -> Result<Searcher, TantivyError> {
        self.reader.reload()?;
        Ok(self.reader.searcher())
    }
}

fn told(folder: &Path, error: &TantivyError) -> Reaction {
    Reaction::transient(format!("search ({}): {}", folder.display(), error.to_string().chars().take(200).collect::<String>()))
}

#[async_trait]
impl Look for Search {
    async fn find(&mut self, samples: &[Sample]) -> Result<Vec<bool>, Reaction> {
        block_in_place(|| {
            let searcher = self.searcher()?;
            let shows = |sample: &Sample| match &sample.alert_id {
                Some(id) => searcher.doc_freq(&Term::from_field_text(self.alert_id, id)).map(|documents| documents > 0),
                None => Ok(false),
            };
            samples.iter().map(shows).collect::<Result<Vec<bool>, TantivyError>>()
        })
        .map_err(|error| told(&self.folder, &error))
    }

    async fn reached(&mut self) -> Result<u64, Reaction> {
        let metas = block_in_place(|| self.index.load_metas()).map_err(|error| told(&self.folder, &error))?;
        let payload = metas.payload.unwrap_or_else(|| "{}".to_owned());
        let mut streams: BTreeMap<String, BTreeMap<u32, Published>> =
            serde_json::from_str(&payload).map_err(|error| Reaction::transient(format!("search: the index's positions cannot be read: {error}")))?;
        Ok(streams.remove("scorer").unwrap_or_default().values().map(|published| published.next_seq).sum())
    }

    async fn rows(&mut self) -> Result<u64, Reaction> {
        block_in_place(|| self.searcher()).map(|searcher| searcher.num_docs()).map_err(|error| told(&self.folder, &error))
    }

    async fn bytes(&mut self) -> Result<Option<u64>, Reaction> {
        Ok(Some(block_in_place(|| size_of(&self.folder))))
    }
}
