//! The embedded log as the store of its role, and what SQL calls a topic.

use std::sync::Arc;

use wh_schemas::{arrow as tables, topics};

use super::scan::TopicScan;
use crate::cut::CutRule;
use crate::errors::QueryError;
use crate::sqlite::connect::Store;
use crate::store::RoleStore;
use crate::table::{Relation, Scan};

/// The embedded log's file.
#[derive(Debug)]
pub(crate) struct LogFile(pub(crate) Arc<Store>);

impl RoleStore for LogFile {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn place(&self) -> String {
        self.0.place()
    }

    fn layout(&self) -> Result<Option<i64>, QueryError> {
        self.0.layout()
    }

    fn bytes(&self) -> Option<u64> {
        self.0.bytes()
    }

    fn relations(self: Arc<Self>) -> Vec<Relation> {
        let scan = |topic: &topics::TopicSpec| -> Relation {
            relation(topic.name, Arc::new(TopicScan { store: Arc::clone(&self.0), topic: topic.name, schema: tables::topic_named(topic.name) }))
        };
        topics::ALL.iter().map(scan).collect()
    }
}

/// What SQL calls a topic, whichever log it is in.
pub(crate) fn relation(topic: &str, scan: Arc<dyn Scan>) -> Relation {
    let cut = if topic == topics::RISK_SCORES { CutRule::ByOffset } else { CutRule::Latest };
    let description = format!("the records of the topic {topic} (bytes that are not UTF-8 show as U+FFFD)");
    Relation { schema_name: "log", name: topics::sql_name(topic), description, cut, is_view: false, scan }
}
