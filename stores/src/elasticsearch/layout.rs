//! Template, indexes and mappings: made where they are missing, and compared where they are there.
//!
//! What must stay true: making them twice, or by two processes at once, changes nothing; an index that is not as Wardhouse makes it is never
//! written. Each index and the template say of themselves `_meta.wardhouse = {"layout": …, "rollover": …}`. An index is made with its whole
//! mapping and looked at afterwards, so that it is right though somebody took the template away.
//!
//! | name | what it is |
//! |---|---|
//! | template `NAMESPACE-alerts` | for every index `NAMESPACE-alerts-*` |
//! | index `NAMESPACE-alerts-2026.11` | the alerts of one period (see [`super::rollover`]), one document each, `_id` = `alert_id` |
//! | alias `NAMESPACE-alerts` | all of them, for readers |
//! | index `NAMESPACE-positions` | one document a stream: how far each partition is visible, and the floor below which retention took rows away |

use serde::Deserialize;
use serde_json::{Map, Value, json};
use wh_schemas::Reaction;
use wh_schemas::layout::SEARCH_VERSION;

use super::connect::{Client, Method};
use super::errors::Failure;
use super::settings::ElasticsearchSettings;

/// Settings and mappings of an index of alerts.
pub const ALERTS: &str = include_str!("../../../schemas/elasticsearch/alerts.json");
/// Settings and mappings of the index of positions.
pub const POSITIONS: &str = include_str!("../../../schemas/elasticsearch/positions.json");
/// Name of the analyser of title and message in [`ALERTS`].
pub const ANALYZER: &str = "wardhouse";

/// Priority of the template among others for the same names: above those that ship with the server (100 to 250).
const PRIORITY: u64 = 500;
/// Where an index says what it is.
const META: &str = "wardhouse";

/// What an index says of itself.
#[derive(Deserialize)]
struct Meta {
    layout: i64,
    rollover: String,
}

#[derive(Deserialize)]
struct Mapped {
    mappings: Mappings,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Mappings {
    #[serde(rename = "_meta")]
    meta: Map<String, Value>,
    properties: Value,
}

#[derive(Deserialize)]
struct Templates {
    index_templates: Vec<Template>,
}

#[derive(Deserialize)]
struct Template {
    index_template: Described,
}

#[derive(Deserialize)]
struct Described {
    #[serde(rename = "_meta", default)]
    meta: Value,
}

fn parsed(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::fatal(format!("a file of the layout cannot be read: {error}"), ""))
}

fn meta(settings: &ElasticsearchSettings) -> Value {
    json!({ META: { "layout": SEARCH_VERSION, "rollover": settings.rollover.as_str() } })
}

/// Body of an index of alerts.
fn alerts(settings: &ElasticsearchSettings) -> Result<Value, Failure> {
    let mut body = parsed(ALERTS)?;
    body["mappings"]["_meta"] = meta(settings);
    body["settings"]["index"]["number_of_shards"] = settings.shards.into();
    body["settings"]["index"]["number_of_replicas"] = settings.replicas.into();
    Ok(body)
}

/// Body of the index of positions.
fn positions(settings: &ElasticsearchSettings) -> Result<Value, Failure> {
    let mut body = parsed(POSITIONS)?;
    body["mappings"]["_meta"] = meta(settings);
    body["settings"]["index"]["number_of_replicas"] = settings.replicas.into();
    Ok(body)
}

/// What the template says of itself; where that is so, it is as these settings ask for.
fn template_meta(settings: &ElasticsearchSettings) -> Value {
    json!({ META: { "layout": SEARCH_VERSION, "rollover": settings.rollover.as_str(), "shards": settings.shards, "replicas": settings.replicas } })
}

/// Makes what is missing. Returns a sentence for each thing that was made.
///
/// # Errors
/// Fatal where what is there is another's, of another rollover, or of a newer layout, and where rights are lacking.
pub async fn ensure(client: &Client, settings: &ElasticsearchSettings) -> Result<Vec<String>, Reaction> {
    made(client, settings).await.map_err(|failure| client.reaction(&failure))
}

async fn made(client: &Client, settings: &ElasticsearchSettings) -> Result<Vec<String>, Failure> {
    let mut done = Vec::new();
    let known = found(client, settings).await?;
    match template(client, settings).await {
        Ok(true) => done.push(format!("made the index template {}", settings.alerts())),
        Ok(false) => {}
        // Who may only write finds the layout made; each index is compared when it is made.
        Err(failure) if failure.status == Some(403) && known.is_some() => {}
        Err(failure) => return Err(failure),
    }
    if known.is_none() && create(client, &settings.positions(), &positions(settings)?).await? {
        done.push(format!("made the index {}", settings.positions()));
    }
    Ok(done)
}

/// Version of the layout; `None` where there is none yet.
///
/// # Errors
/// Where it is another's, of another rollover, or newer than this Wardhouse, and where the server does not answer.
pub async fn version(client: &Client, settings: &ElasticsearchSettings) -> Result<Option<i64>, Failure> {
    let found: Result<Map<String, Value>, Failure> = client.ask(Method::Get, &format!("{}/_mapping", settings.positions()), &[], None).await;
    let found = match found {
        Err(failure) if failure.is(404, "index_not_found_exception") => return Ok(None),
        found => found?,
    };
    let wanted = positions(settings)?;
    for (name, mapped) in found {
        compare(settings, &name, mapped, &wanted)?;
    }
    Ok(Some(SEARCH_VERSION))
}

/// What is there, compared: the version, and the number of indexes of alerts.
pub(super) async fn found(client: &Client, settings: &ElasticsearchSettings) -> Result<Option<(i64, usize)>, Failure> {
    let version = version(client, settings).await?;
    let indexes = examine(client, settings).await?;
    Ok(version.map(|version| (version, indexes)))
}

/// Compares every index of alerts, and counts them.
async fn examine(client: &Client, settings: &ElasticsearchSettings) -> Result<usize, Failure> {
    let alias = settings.alerts();
    let query = [("ignore_unavailable", "true"), ("allow_no_indices", "true")];
    let found: Map<String, Value> = client.ask(Method::Get, &format!("{alias},{alias}-*/_mapping"), &query, None).await?;
    let (wanted, mut count) = (alerts(settings)?, 0);
    for (name, mapped) in found {
        if name == alias {
            return Err(Failure::fatal(
                format!("there is an index {alias}, where Wardhouse needs an alias"),
                "move that index away, or choose another namespace (?namespace=NAME)",
            ));
        }
        // A copy or a backup by another name is nobody's concern.
        if settings.end_of(&name).is_some() {
            compare(settings, &name, mapped, &wanted)?;
            count += 1;
        }
    }
    Ok(count)
}

fn compare(settings: &ElasticsearchSettings, index: &str, found: Value, wanted: &Value) -> Result<(), Failure> {
    let foreign = || {
        Failure::fatal(
            format!("the index {index} is not as Wardhouse makes it: another program made it, or its mapping was changed"),
            "move it away, or choose another namespace (elasticsearch://host:9200?namespace=NAME)",
        )
    };
    let Mapped { mappings: Mappings { mut meta, properties } } = serde_json::from_value(found).map_err(|_| foreign())?;
    let meta: Meta = meta.remove(META).and_then(|meta| serde_json::from_value(meta).ok()).ok_or_else(foreign)?;
    let (layout, rollover) = (meta.layout, settings.rollover.as_str());
    if layout > SEARCH_VERSION {
        return Err(Failure::fatal(
            format!("the index {index} was written by a newer Wardhouse (layout {layout}, this one knows {SEARCH_VERSION})"),
            "use that version, or choose another namespace",
        ));
    }
    if layout < SEARCH_VERSION {
        return Err(Failure::fatal(
            format!("the index {index} was written by an older Wardhouse (layout {layout}, this one writes {SEARCH_VERSION})"),
            "delete the indexes of this namespace and start again: the log fills them anew as far as it reaches back",
        ));
    }
    if meta.rollover != rollover {
        return Err(Failure::fatal(
            format!("the indexes of this namespace hold a {} each, and elasticsearch.rollover = \"{rollover}\"", meta.rollover),
            format!("set elasticsearch.rollover = \"{}\", or choose another namespace: an alert must stay in the index that it was written to", meta.rollover),
        ));
    }
    if properties == wanted["mappings"]["properties"] { Ok(()) } else { Err(foreign()) }
}

/// Makes the template, or brings it up to date. Returns whether that was needed.
async fn template(client: &Client, settings: &ElasticsearchSettings) -> Result<bool, Failure> {
    let name = settings.alerts();
    let path = format!("_index_template/{name}");
    let found: Result<Templates, Failure> = client.ask(Method::Get, &path, &[], None).await;
    let found = match found {
        Err(failure) if failure.is(404, "resource_not_found_exception") => None,
        found => found?.index_templates.into_iter().next(),
    };
    let wanted = template_meta(settings);
    if let Some(Template { index_template: Described { meta } }) = found {
        match meta.get(META).and_then(|meta| meta.get("layout")).and_then(Value::as_i64) {
            None => {
                return Err(Failure::fatal(format!("there is an index template {name} of another program"), "remove it, or choose another namespace (?namespace=NAME)"));
            }
            Some(layout) if layout > SEARCH_VERSION => {
                return Err(Failure::fatal(
                    format!("the index template {name} was written by a newer Wardhouse (layout {layout}, this one knows {SEARCH_VERSION})"),
                    "use that version, or choose another namespace",
                ));
            }
            Some(_) if meta == wanted => return Ok(false),
            Some(_) => {}
        }
    }
    let mut template = alerts(settings)?;
    template["aliases"] = json!({ name.as_str(): {} });
    let body = json!({ "index_patterns": [format!("{name}-*")], "priority": PRIORITY, "version": SEARCH_VERSION, "_meta": wanted, "template": template });
    let _: Value = client.ask(Method::Put, &path, &[], Some(&body)).await?;
    Ok(true)
}

/// Makes an index. Returns `false` where it was there.
async fn create(client: &Client, index: &str, body: &Value) -> Result<bool, Failure> {
    match client.ask::<Value>(Method::Put, index, &[], Some(body)).await {
        Ok(_) => Ok(true),
        Err(failure) if failure.is(400, "resource_already_exists_exception") => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Makes an index of alerts where it is not there, compares it where it is, and sees that readers find it.
///
/// # Errors
/// Where it is not as Wardhouse makes it, and where rights are lacking.
pub async fn ensure_index(client: &Client, settings: &ElasticsearchSettings, index: &str) -> Result<(), Failure> {
    let (wanted, alias) = (alerts(settings)?, settings.alerts());
    create(client, index, &wanted).await?;
    let found: Map<String, Value> = client.ask(Method::Get, index, &[("filter_path", "*.aliases,*.mappings")], None).await?;
    for (name, found) in found {
        let is_aliased = found["aliases"].get(&alias).is_some();
        compare(settings, &name, found, &wanted)?;
        if !is_aliased {
            // The template is gone, or was not there when the index was made.
            let _: Value = client.ask(Method::Put, &format!("{name}/_alias/{alias}"), &[], None).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elasticsearch::settings::RawElasticsearch;
    use crate::{Durability, ServerUrl};

    fn settings() -> ElasticsearchSettings {
        ElasticsearchSettings::try_new(&ServerUrl::parse("elasticsearch://h?namespace=x").unwrap(), &RawElasticsearch::default(), Durability::Warn).unwrap()
    }

    #[test]
    fn the_files_of_the_layout_are_what_the_code_takes_them_for() {
        let body = alerts(&settings()).unwrap();
        assert!(body["settings"]["index"]["analysis"]["analyzer"][ANALYZER].is_object());
        for (name, field) in body["mappings"]["properties"].as_object().unwrap() {
            let kind = field["type"].as_str().unwrap();
            assert!(matches!(kind, "keyword" | "long" | "date") || (kind == "text" && field["analyzer"] == ANALYZER), "{name}: {field}");
        }
        for column in wh_schemas::arrow::alerts().fields().iter().filter(|field| field.name() != wh_schemas::arrow::SCORE_COLUMN) {
            assert!(body["mappings"]["properties"][column.name()].is_object(), "{}", column.name());
        }
        assert_eq!(body["mappings"]["dynamic"], "strict");
        assert_eq!(positions(&settings()).unwrap()["mappings"]["dynamic"], "strict");
    }

    #[test]
    fn an_index_is_ours_or_it_is_told() {
        let wanted = alerts(&settings()).unwrap();
        let told = |change: fn(&mut Value)| {
            let mut found = json!({"mappings": wanted["mappings"].clone()});
            change(&mut found);
            compare(&settings(), "x-alerts-2026.11", found, &wanted).map_err(|failure| failure.message)
        };
        assert_eq!(told(|_| {}), Ok(()));
        type Change = fn(&mut Value);
        let changes: [(Change, &str); 6] = [
            (|found| found["mappings"]["_meta"]["wardhouse"]["layout"] = 99.into(), "newer Wardhouse (layout 99"),
            (|found| found["mappings"]["_meta"]["wardhouse"]["layout"] = 0.into(), "older Wardhouse"),
            (|found| found["mappings"]["_meta"]["wardhouse"]["rollover"] = "day".into(), "hold a day each"),
            (|found| found["mappings"]["_meta"] = json!({}), "not as Wardhouse makes it"),
            (|found| found["mappings"]["properties"]["user_id"]["type"] = "text".into(), "not as Wardhouse makes it"),
            (|found| *found = json!([]), "not as Wardhouse makes it"),
        ];
        for (change, part) in changes {
            assert!(told(change).unwrap_err().contains(part), "{part}");
        }
    }
}
