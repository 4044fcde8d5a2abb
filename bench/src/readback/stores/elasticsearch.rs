//! The alerts in Elasticsearch: searched for, since a document that is asked for by its id shows before it can be searched.

use std::collections::HashSet;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use wh_schemas::Reaction;
use wh_stores::elasticsearch::positions::Held;
use wh_stores::elasticsearch::{Client, ElasticsearchSettings, Failure, Method};

use super::super::{Look, Sample};

/// Before the first alert there is no index.
const MAY_BE_MISSING: [(&str, &str); 2] = [("ignore_unavailable", "true"), ("allow_no_indices", "true")];

/// A client that looks at the alerts.
pub(super) struct Search {
    client: Client,
    settings: ElasticsearchSettings,
}

#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    hits: Hits,
}

#[derive(Default, Deserialize)]
struct Hits {
    #[serde(default)]
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: String,
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

impl Search {
    pub(super) async fn open(settings: &ElasticsearchSettings) -> Result<Search, Reaction> {
        Ok(Search { client: wh_stores::elasticsearch::connect(settings).await?, settings: settings.clone() })
    }
}

/// Whether an answer says that there is nothing yet.
fn is_missing(failure: &Failure) -> bool {
    failure.status == Some(404)
}

#[async_trait]
impl Look for Search {
    async fn find(&mut self, samples: &[Sample]) -> Result<Vec<bool>, Reaction> {
        let ids: Vec<&str> = samples.iter().filter_map(|sample| sample.alert_id.as_deref()).collect();
        let asked = json!({ "size": ids.len(), "_source": false, "query": { "ids": { "values": ids } } });
        let found: Answer = match self.client.ask(Method::Post, &format!("{}/_search", self.settings.alerts()), &MAY_BE_MISSING, Some(&asked)).await {
            Ok(answer) => answer,
            Err(failure) if is_missing(&failure) => Answer::default(),
            Err(failure) => return Err(self.client.reaction(&failure)),
        };
        let found: HashSet<String> = found.hits.hits.into_iter().map(|hit| hit.id).collect();
        Ok(samples.iter().map(|sample| sample.alert_id.as_ref().is_some_and(|id| found.contains(id))).collect())
    }

    async fn reached(&mut self) -> Result<u64, Reaction> {
        match self.client.ask::<Held>(Method::Get, &format!("{}/_doc/scorer", self.settings.positions()), &[], None).await {
            Ok(held) => Ok(held.positions.partitions.values().map(|published| published.next_seq).sum()),
            Err(failure) if is_missing(&failure) => Ok(0),
            Err(failure) => Err(self.client.reaction(&failure)),
        }
    }

    async fn rows(&mut self) -> Result<u64, Reaction> {
        match self.client.ask::<Count>(Method::Get, &format!("{}/_count", self.settings.alerts()), &MAY_BE_MISSING, None).await {
            Ok(Count { count }) => Ok(count),
            Err(failure) if is_missing(&failure) => Ok(0),
            Err(failure) => Err(self.client.reaction(&failure)),
        }
    }

    async fn bytes(&mut self) -> Result<Option<u64>, Reaction> {
        match self.client.ask::<Value>(Method::Get, &format!("{}-*/_stats/store", self.settings.namespace), &[], None).await {
            Ok(stats) => Ok(stats["_all"]["primaries"]["store"]["size_in_bytes"].as_u64()),
            Err(failure) if is_missing(&failure) => Ok(None),
            Err(failure) => Err(self.client.reaction(&failure)),
        }
    }
}
