//! What `wardhouse doctor` looks at, and what a start says about durability.
//!
//! What must stay true: nothing is written; a look that is not allowed is told as such and ends none of the others.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use wh_schemas::Reaction;

use super::connect::{self, Client, Method};
use super::errors::Failure;
use super::layout;
use super::settings::{ElasticsearchSettings, Login};
use crate::clock;
use crate::finding::{DURABILITY, Durability, Finding};

/// Clocks may differ by so much (milliseconds).
const SKEW: i64 = 2_000;
/// What the sink does on the cluster, and on the indexes of its namespace.
const CLUSTER_RIGHTS: [&str; 2] = ["monitor", "manage_index_templates"];
const INDEX_RIGHTS: [&str; 8] = ["read", "create_doc", "index", "delete", "create_index", "delete_index", "maintenance", "view_index_metadata"];

#[derive(Deserialize)]
struct Health {
    status: String,
    number_of_data_nodes: u64,
    #[serde(default)]
    unassigned_shards: u64,
}

#[derive(Deserialize)]
struct Nodes {
    nodes: Map<String, Value>,
}

#[derive(Deserialize)]
struct Rights {
    #[serde(default)]
    has_all_requested: bool,
    #[serde(default)]
    cluster: Map<String, Value>,
    #[serde(default)]
    index: Map<String, Value>,
}

/// Looks at a cluster.
pub async fn examine(settings: &ElasticsearchSettings) -> Vec<Finding> {
    let client = match connect::open(settings).await {
        Ok(client) => client,
        Err(failure) => return vec![Finding::fault("connection", format!("{}: {}", settings.place(), failure.message), failure.remedy)],
    };
    let mut findings = vec![Finding::fine("version", format!("Elasticsearch {}", client.version()))];
    findings.push(encryption(settings));
    findings.push(rights(&client, settings).await.unwrap_or_else(|failure| unseen("rights", failure)));
    findings.push(clock(&client).await.unwrap_or_else(|failure| unseen("clock", failure)));
    findings.push(copies(&client, settings).await.unwrap_or_else(|failure| unseen("durability", failure)));
    findings.push(blocks(&client, settings).await.unwrap_or_else(|failure| unseen("blocks", failure)));
    findings.push(made(&client, settings).await);
    findings
}

/// Warns of a cluster that may lose what it acknowledged, or refuses it where durability is strict.
///
/// # Errors
/// Fatal under [`Durability::Strict`] where there is one copy of each alert; transient where the cluster does not answer.
pub async fn durable(client: &Client, settings: &ElasticsearchSettings) -> Result<(), Reaction> {
    let finding = match copies(client, settings).await {
        Ok(finding) => finding,
        Err(failure) if failure.status == Some(403) => unseen("durability", failure),
        Err(failure) => return Err(client.reaction(&failure)),
    };
    match (finding.remedy.is_empty(), settings.durability) {
        (true, _) => Ok(()),
        (false, Durability::Warn) => {
            tracing::warn!(target: DURABILITY, "search ({}): {finding}", client.place());
            Ok(())
        }
        (false, Durability::Strict) => Err(Reaction::fatal(format!("search ({}): {finding} (stores.durability = \"strict\" asks for it)", client.place()))),
    }
}

fn unseen(subject: &'static str, failure: Failure) -> Finding {
    Finding::warning(subject, format!("could not be looked at: {}", failure.message), failure.remedy)
}

fn encryption(settings: &ElasticsearchSettings) -> Finding {
    let local = settings.nodes.iter().all(|node| matches!(node.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")));
    if local && settings.tls.is_none() {
        return Finding::fine("encryption", "none, on this machine");
    }
    match (&settings.tls, &settings.login) {
        (Some(_), Login::Nobody) => Finding::warning("encryption", "TLS, and no user", "turn xpack.security on, and set elasticsearch.user or elasticsearch.api_key"),
        (Some(_), _) => Finding::fine("encryption", "TLS, with credentials"),
        (None, Login::Nobody) => Finding::warning("encryption", "neither TLS nor a user: whoever reaches the server reads and changes the alerts", "turn xpack.security on"),
        (None, _) => Finding::warning("encryption", "credentials without TLS: whoever sees the network sees them", "add ?tls=true to stores.search"),
    }
}

async fn rights(client: &Client, settings: &ElasticsearchSettings) -> Result<Finding, Failure> {
    if matches!(settings.login, Login::Nobody) {
        return Ok(Finding::fine("rights", "no user, so all of them"));
    }
    let body = json!({ "cluster": CLUSTER_RIGHTS, "index": [{ "names": [format!("{}-*", settings.namespace)], "privileges": INDEX_RIGHTS }] });
    let found: Rights = client.ask(Method::Post, "_security/user/_has_privileges", &[], Some(&body)).await?;
    if found.has_all_requested {
        return Ok(Finding::fine("rights", "all that the sink needs"));
    }
    let lacking = |rights: &Map<String, Value>| rights.iter().filter(|(_, granted)| **granted == Value::Bool(false)).map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let mut missing = lacking(&found.cluster);
    missing.extend(found.index.values().filter_map(Value::as_object).flat_map(lacking));
    Ok(Finding::fault(
        "rights",
        format!("this user lacks {}", missing.join(", ")),
        format!("grant what the sink needs on {}-*; manage_index_templates and monitor are rights on the cluster", settings.namespace),
    ))
}

async fn clock(client: &Client) -> Result<Finding, Failure> {
    let before = clock::now().0 / 1_000;
    let found: Nodes = client.ask(Method::Get, "_nodes/stats", &[("metric", "os"), ("filter_path", "nodes.*.timestamp")], None).await?;
    let after = clock::now().0 / 1_000;
    let times = found.nodes.values().filter_map(|node| node.get("timestamp").and_then(Value::as_i64));
    let skew = times.map(|time| (before - time).max(time - after).max(0)).max().unwrap_or(0);
    Ok(if skew <= SKEW {
        Finding::fine("clock", format!("differs by {skew} ms at most"))
    } else {
        Finding::warning("clock", format!("a node's clock differs from this machine's by {skew} ms"), "let both follow a time server")
    })
}

/// In how many copies alerts are kept.
async fn copies(client: &Client, settings: &ElasticsearchSettings) -> Result<Finding, Failure> {
    let query = [("filter_path", "status,number_of_data_nodes,unassigned_shards")];
    let health: Health = client.ask(Method::Get, &format!("_cluster/health/{}-*", settings.namespace), &query, None).await?;
    let nodes = health.number_of_data_nodes;
    Ok(if health.status == "red" {
        Finding::fault("durability", "a primary shard is missing: some alerts can neither be read nor written", "see GET _cluster/allocation/explain")
    } else if settings.replicas == 0 || nodes < 2 {
        Finding::warning(
            "durability",
            format!("each alert is kept once (elasticsearch.replicas = {}, {nodes} data node)", settings.replicas),
            "run at least two data nodes, and set elasticsearch.replicas = 1 or more; what is lost can be replayed from the log as far as it reaches back",
        )
    } else if health.unassigned_shards > 0 {
        Finding::warning("durability", format!("{} replicas are on no node", health.unassigned_shards), "add a node, or lower elasticsearch.replicas")
    } else {
        Finding::fine("durability", format!("{} copies of each alert on {nodes} data nodes", settings.replicas + 1))
    })
}

async fn blocks(client: &Client, settings: &ElasticsearchSettings) -> Result<Finding, Failure> {
    let query = [("flat_settings", "true"), ("allow_no_indices", "true")];
    let found: Map<String, Value> = client.ask(Method::Get, &format!("{}-*/_settings/index.blocks.*", settings.namespace), &query, None).await?;
    let blocked =
        |index: &Value| index.get("settings").and_then(Value::as_object).is_some_and(|settings| settings.values().any(|value| value == "true" || *value == Value::Bool(true)));
    let names: Vec<&str> = found.iter().filter(|(_, index)| blocked(index)).map(|(name, _)| name.as_str()).collect();
    Ok(if names.is_empty() {
        Finding::fine("blocks", "every index takes writes")
    } else {
        Finding::warning("blocks", format!("no writes are taken by {}", names.join(", ")), "make room where the disk is full, or set index.blocks.write to null")
    })
}

async fn made(client: &Client, settings: &ElasticsearchSettings) -> Finding {
    match layout::found(client, settings).await {
        Ok(None) => Finding::warning("layout", "there is none yet", "it is made at the first start, or by `wardhouse migrate`"),
        Ok(Some((version, indexes))) => Finding::fine("layout", format!("version {version}, {indexes} indexes of alerts, one a {}", settings.rollover.as_str())),
        Err(failure) => Finding::fault("layout", failure.message, failure.remedy),
    }
}
