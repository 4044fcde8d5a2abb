//! What a sink's check needs of an adapter, the adapters that there are, and the bench on which a check works.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tantivy::{Index, IndexWriter, TantivyDocument, Term};
use tempfile::TempDir;
use wh_eventlog::Stored;
use wh_query::Engine;
use wh_schemas::SeqPosition;
use wh_schemas::layout::METRICS_BLOCK;
use wh_schemas::position::Seq;
use wh_schemas::topics::{RISK_ALERTS, RISK_SCORES};
use wh_sinks::delivery::{Batch, Store, StorePosition, Tally, Written};
use wh_stores::tantivy::layout;

use crate::content::{self, Content, Role, assert_same, expected, expected_patterns};
use crate::records::score;
use crate::sql;

/// A way to keep a role's rows.
#[async_trait]
pub(super) trait SinkAdapter: Send + Sync {
    /// The role and where it keeps its rows.
    fn name(&self) -> &'static str;
    fn role(&self) -> Role;
    /// Opens the store of a place, made when it is not there.
    async fn open(&self, place: &Path) -> Box<dyn Store>;
    /// SQL over what it holds.
    async fn engine(&self, place: &Path) -> Engine;
    /// Where it says to a reader that it stands.
    async fn published(&self, place: &Path) -> Vec<StorePosition>;
    /// Takes the rows of these seqs away behind the store's back; it is not open.
    async fn lose(&self, place: &Path, partition: u32, seqs: Range<Seq>);
    /// Removes what every place of this process left behind.
    async fn sweep(&self);
}

/// The adapter of a role's embedded default.
pub(super) fn embedded(role: Role) -> Arc<dyn SinkAdapter> {
    Arc::new(Embedded(role))
}

/// The embedded default of a role.
pub(super) struct Embedded(pub(super) Role);

#[async_trait]
impl SinkAdapter for Embedded {
    fn name(&self) -> &'static str {
        match self.0 {
            Role::Ledger => "the ledger on SQLite",
            Role::Documents => "the documents on SQLite",
            Role::Metrics => "the metrics on SQLite",
            Role::Search => "the search on Tantivy",
        }
    }

    fn role(&self) -> Role {
        self.0
    }

    async fn open(&self, place: &Path) -> Box<dyn Store> {
        content::open(self.0, place).unwrap()
    }

    async fn engine(&self, place: &Path) -> Engine {
        sql::engine(place)
    }

    async fn published(&self, place: &Path) -> Vec<StorePosition> {
        content::published(self.0, place).unwrap()
    }

    async fn lose(&self, place: &Path, partition: u32, seqs: Range<Seq>) {
        let sqlite = |file: &str, statements: &[&str]| {
            let connection = Connection::open(place.join(file)).unwrap();
            let at = |seq| SeqPosition { partition, seq }.packed();
            for statement in statements {
                connection.execute(statement, params![at(seqs.start), at(seqs.end)]).unwrap();
            }
        };
        match self.0 {
            Role::Ledger => sqlite("ledger.db", &["DELETE FROM transactions WHERE pos >= ?1 AND pos < ?2", "DELETE FROM risk_alerts WHERE pos >= ?1 AND pos < ?2"]),
            Role::Documents => sqlite("documents.db", &["DELETE FROM documents WHERE pos >= ?1 AND pos < ?2"]),
            Role::Metrics => {
                let connection = Connection::open(place.join("metrics.db")).unwrap();
                let (first, behind) = (seqs.start / METRICS_BLOCK, seqs.end.div_ceil(METRICS_BLOCK));
                connection.execute("DELETE FROM throughput WHERE partition = ?1 AND block >= ?2 AND block < ?3", params![partition, first, behind]).unwrap();
            }
            Role::Search => {
                let index = Index::open_in_dir(place.join("search")).unwrap();
                layout::register_analyzer(&index);
                let field = index.schema().get_field(layout::SEQ).unwrap();
                let payload = index.load_metas().unwrap().payload.unwrap();
                let mut writer: IndexWriter<TantivyDocument> = index.writer_with_num_threads(1, 20_000_000).unwrap();
                for seq in seqs {
                    writer.delete_term(Term::from_field_i64(field, i64::try_from(seq).unwrap()));
                }
                let mut commit = writer.prepare_commit().unwrap();
                commit.set_payload(&payload);
                commit.commit().unwrap();
            }
        }
    }

    async fn sweep(&self) {}
}

/// Records as a batch of partition 0.
pub(super) fn batch(records: &[Stored]) -> Batch {
    Batch { topic: RISK_SCORES.into(), partition: 0, records: Arc::new(records.to_vec()), buried: BTreeSet::new() }
}

/// Records of `risk-alerts` as a batch of partition 0.
pub(super) fn alerts(records: &[Stored]) -> Batch {
    Batch { topic: RISK_ALERTS.into(), ..batch(records) }
}

/// What must have become of records below `next_seq`, in a store that takes them all.
pub(super) fn tally(role: Role, records: &[Stored], next_seq: Seq) -> Tally {
    let mut tally = Tally::default();
    for row in records.iter().map(score).filter(|row| row.seq < next_seq) {
        if row.risk_score.is_none() {
            tally.duplicates += 1;
        } else if role == Role::Search && row.alerts.is_empty() {
            tally.discarded += 1;
        } else {
            tally.stored += 1;
        }
    }
    tally
}

/// A position as every store keeps it: how much of the topic an open block covers is known to a running sink alone.
pub(super) fn lasting(position: StorePosition) -> StorePosition {
    StorePosition { visible_offset: 0, ..position }
}

/// A store in a place of its own.
pub(super) struct Bench {
    adapter: Arc<dyn SinkAdapter>,
    place: TempDir,
    store: Option<Box<dyn Store>>,
}

impl Bench {
    /// A store that holds nothing.
    pub(super) async fn new(adapter: &Arc<dyn SinkAdapter>) -> Bench {
        let mut bench = Bench { adapter: Arc::clone(adapter), place: tempfile::tempdir().unwrap(), store: None };
        assert!(bench.open().await.is_empty(), "a new store stands nowhere");
        bench
    }

    /// Closes the store without a word, as a crash does, opens it anew and asks it where it stands.
    pub(super) async fn open(&mut self) -> Vec<StorePosition> {
        self.store = None;
        let mut store = self.adapter.open(self.place.path()).await;
        let positions = store.positions(RISK_SCORES).await.unwrap();
        self.store = Some(store);
        positions.into_iter().map(lasting).collect()
    }

    pub(super) fn role(&self) -> Role {
        self.adapter.role()
    }

    pub(super) fn store(&mut self) -> &mut dyn Store {
        self.store.as_deref_mut().unwrap()
    }

    /// Writes a batch that must go through; gives where the store says that it stands.
    pub(super) async fn settle(&mut self, batch: Batch) -> StorePosition {
        match self.store().write(batch).await.unwrap() {
            Written::Done { position, .. } => position,
            refused @ Written::Refused { .. } => panic!("{refused:?}"),
        }
    }

    /// Writes records of partition 0 that must go through.
    pub(super) async fn write(&mut self, records: &[Stored]) -> StorePosition {
        self.settle(batch(records)).await
    }

    /// Writes a batch of which a record must be refused; gives its offset and class.
    pub(super) async fn refused(&mut self, batch: Batch) -> (u64, String) {
        match self.store().write(batch).await.unwrap() {
            Written::Refused { offset, class, message, .. } => {
                assert!(!message.is_empty(), "a person must be told why");
                (offset, class)
            }
            done @ Written::Done { .. } => panic!("{done:?}"),
        }
    }

    pub(super) async fn publish(&mut self) {
        self.store().publish().await.unwrap();
    }

    /// Where the store says to readers that it stands.
    pub(super) async fn published(&mut self) -> Vec<StorePosition> {
        self.adapter.published(self.place.path()).await.into_iter().map(lasting).collect()
    }

    pub(super) async fn content(&mut self) -> Content {
        content::read_back(self.role(), &self.adapter.engine(self.place.path()).await).await
    }

    /// The rows of these records, and no others, can be read.
    pub(super) async fn holds(&mut self, records: &[Stored]) {
        let (found, wanted) = (self.content().await, expected(self.role(), records));
        assert_same(&found, &wanted, self.adapter.name());
    }

    /// The rows of these records of `risk-alerts`, and no others, can be read.
    pub(super) async fn holds_patterns(&mut self, records: &[Stored]) {
        let (found, mut wanted) = (self.content().await, expected_patterns(self.role(), records));
        wanted.sort_unstable();
        assert_same(&found, &wanted, self.adapter.name());
    }

    /// Where the store says that it stands with patterns.
    pub(super) async fn patterns(&mut self) -> Vec<StorePosition> {
        self.store().positions(RISK_ALERTS).await.unwrap()
    }

    /// Loses rows of partition 0 while the store is closed, and opens it again.
    pub(super) async fn lose(&mut self, seqs: Range<Seq>) {
        self.lose_of(0, seqs).await;
    }

    /// Loses rows of a partition while the store is closed, and opens it again.
    pub(super) async fn lose_of(&mut self, partition: u32, seqs: Range<Seq>) {
        self.store = None;
        self.adapter.lose(self.place.path(), partition, seqs).await;
        self.open().await;
    }
}
