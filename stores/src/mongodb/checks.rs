//! What `wardhouse doctor` looks at in a MongoDB server.
//!
//! What must stay true: nothing is written; a look that the user has no right to is told as that, not as a fault of the server.

use ::mongodb::bson::{Bson, Document, doc};

use super::connect::{self, Connected, OLDEST};
use super::layout;
use super::settings::MongodbSettings;
use crate::{Finding, clock};

/// How far the server's clock may be from ours, in microseconds.
const SKEW: i64 = 5_000_000;
/// What the sink does to documents and positions.
const ACTIONS: [&str; 4] = ["find", "insert", "update", "remove"];
/// Roles that allow it, for servers that do not list privileges.
const ROLES: [&str; 5] = ["readWrite", "dbOwner", "readWriteAnyDatabase", "root", "__system"];

/// Connects, and tells what was found. A server that cannot be reached is one finding.
pub async fn examine(settings: &MongodbSettings) -> Vec<Finding> {
    let connected = match connect::connect(settings).await {
        Ok(connected) => connected,
        Err(reaction) => return vec![Finding::fault("server", reaction.to_string(), "")],
    };
    let (major, minor) = OLDEST;
    let mut findings = vec![Finding::fine("version", format!("MongoDB {} ({major}.{minor} or newer is needed)", connected.version()))];
    findings.push(encryption(settings));
    findings.push(rights(&connected, settings).await);
    match connect::weaknesses(&connected, settings).await {
        Ok(weaknesses) if weaknesses.is_empty() => findings.push(Finding::fine("durability", "a write counts when a majority has it in its journal")),
        Ok(weaknesses) => findings.extend(weaknesses.into_iter().map(|found| Finding::warning("durability", found, ""))),
        Err(reaction) => findings.push(Finding::warning("durability", reaction.to_string(), "")),
    }
    findings.push(time(&connected).await);
    findings.extend(kept(&connected, settings).await);
    findings
}

fn encryption(settings: &MongodbSettings) -> Finding {
    let local = settings.url().hosts().iter().all(|host| ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&host.name.as_str()) || host.name.starts_with('/'));
    match settings.tls() {
        Some(tls) if tls.allow_invalid_certificates == Some(true) => Finding::warning(
            "tls",
            "TLS, but any certificate is taken",
            "remove tlsInsecure and tlsAllowInvalidCertificates from stores.documents, and name a CA in mongodb.ca_file",
        ),
        Some(_) => Finding::fine("tls", "TLS"),
        None if local => Finding::fine("tls", "none, on this machine only"),
        None => Finding::warning("tls", "none: metadata and passwords can be read on the way", "set mongodb.tls = true"),
    }
}

async fn rights(connected: &Connected, settings: &MongodbSettings) -> Finding {
    let asked = connected.answer(connected.database().run_command(doc! { "connectionStatus": 1, "showPrivileges": true })).await;
    let status = match asked {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return Finding::warning("rights", connected.told(&error).to_string(), ""),
        Err(reaction) => return Finding::warning("rights", reaction.to_string(), ""),
    };
    if listed(&status, "authenticatedUsers").is_empty() {
        return Finding::warning("rights", "everybody who reaches the server may do everything", "start it with authentication, and set mongodb.user");
    }
    let (privileges, database) = (listed(&status, "authenticatedUserPrivileges"), settings.database());
    if privileges.is_empty() {
        let enough = listed(&status, "authenticatedUserRoles").iter().any(|role| role.get_str("role").is_ok_and(|role| ROLES.contains(&role)));
        let found = "the server lists roles only";
        return if enough { Finding::fine("rights", found) } else { Finding::warning("rights", found, "grant the role readWrite on the database") };
    }
    let lacking: Vec<&str> = ACTIONS.into_iter().filter(|action| !allowed(&privileges, database, action)).collect();
    if lacking.is_empty() {
        Finding::fine("rights", "documents can be read and written")
    } else {
        Finding::fault("rights", format!("this user may not {} in the database {database}", lacking.join(", ")), "grant it the role readWrite on the database")
    }
}

/// A list in the server's word on the user.
fn listed<'d>(status: &'d Document, name: &str) -> Vec<&'d Document> {
    let found = status.get_document("authInfo").and_then(|info| info.get_array(name));
    found.map(|list| list.iter().filter_map(Bson::as_document).collect()).unwrap_or_default()
}

/// Whether one of the privileges allows an action on every collection of a database.
fn allowed(privileges: &[&Document], database: &str, action: &str) -> bool {
    privileges.iter().any(|privilege| {
        let everywhere = privilege.get_document("resource").is_ok_and(|resource| {
            let is = |name: &str, value: &str| resource.get_str(name).is_ok_and(|found| found == value);
            resource.get_bool("anyResource").unwrap_or(false) || ((is("db", "") || is("db", database)) && is("collection", ""))
        });
        everywhere
            && privilege.get_array("actions").is_ok_and(|actions| actions.iter().any(|found| matches!(found.as_str(), Some(found) if found == action || found == "anyAction")))
    })
}

async fn time(connected: &Connected) -> Finding {
    let before = clock::now().0;
    let asked = connected.ask(connected.database().run_command(doc! { "hello": 1 })).await;
    let after = clock::now().0;
    match asked.map(|hello| hello.get_datetime("localTime").map(|time| time.timestamp_millis().saturating_mul(1_000))) {
        Ok(Ok(theirs)) => {
            let skew = if theirs < before - 1_000 { theirs - before } else { (theirs - after).max(0) };
            let found = format!("{:.1} s from ours", skew as f64 / 1e6);
            if skew.abs() <= SKEW { Finding::fine("clock", found) } else { Finding::warning("clock", found, "set the clocks by NTP: retention goes by them") }
        }
        Ok(Err(_)) => Finding::warning("clock", "the server does not tell its time", ""),
        Err(reaction) => Finding::warning("clock", reaction.to_string(), ""),
    }
}

/// The layout, and how long documents are kept.
async fn kept(connected: &Connected, settings: &MongodbSettings) -> Vec<Finding> {
    let layout = match layout::version(connected).await {
        Ok(None) => {
            return vec![Finding::warning(
                "layout",
                format!("the database {} holds no documents of Wardhouse yet", settings.database()),
                "run `wardhouse migrate`, or start a sink that may make the layout",
            )];
        }
        Ok(Some(version)) => match layout::known(connected.place(), version) {
            Ok(()) => Finding::fine("layout", format!("version {version}")),
            Err(reaction) => return vec![Finding::fault("layout", reaction.to_string(), "")],
        },
        Err(reaction) => return vec![Finding::fault("layout", reaction.to_string(), "")],
    };
    let retention = match layout::expiry(connected).await {
        Ok(None) => Finding::fine("retention", "the server keeps documents for ever; sinks.retention_days removes them earlier"),
        Ok(Some(seconds)) => Finding::fine("retention", format!("the server removes documents after {} days, a week after the sink does", seconds / 86_400)),
        Err(reaction) => Finding::warning("retention", reaction.to_string(), ""),
    };
    vec![layout, retention]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privilege_must_be_for_every_collection_of_the_database() {
        let one = |resource: Document, actions: Vec<&str>| doc! { "resource": resource, "actions": actions };
        let all = one(doc! { "db": "wardhouse", "collection": "" }, vec!["find", "insert"]);
        assert!(allowed(&[&all], "wardhouse", "insert") && !allowed(&[&all], "wardhouse", "remove") && !allowed(&[&all], "other", "find"));
        let single = one(doc! { "db": "wardhouse", "collection": "documents" }, vec!["find"]);
        assert!(!allowed(&[&single], "wardhouse", "find"));
        assert!(allowed(&[&one(doc! { "anyResource": true }, vec!["anyAction"])], "wardhouse", "remove"));
    }
}
