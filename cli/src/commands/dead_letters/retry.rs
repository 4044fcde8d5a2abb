//! `dead-letters retry`: each on the way that its record took.
//!
//! What must stay true: a letter is marked only once the log, or the store, has its record; one that fails keeps no other from its try.

use std::collections::BTreeMap;

use anstream::println;
use wh_eventlog::dead_letters::{self, Disposition, Found, Way};
use wh_eventlog::{Log, Reader};
use wh_ops::letters;
use wh_schemas::Reaction;
use wh_schemas::topics::HOSPITAL_TRANSACTIONS;
use wh_sinks::delivery::Store;
use wh_sinks::delivery::identity::Binding;
use wh_sinks::reconcile::StoredRows;
use wh_stores::holder::Holder;

use super::RetryArgs;
use super::chosen::Chosen;
use crate::args::{RoleName, StoreName};
use crate::commands::counted;
use crate::commands::reconcile::open;
use crate::failure::Failure;
use crate::pipeline;
use crate::settings::Settings;
use crate::stores;

/// A store that letters go into, held for as long as the command runs where it is embedded.
struct Opened {
    store: Box<dyn Store>,
    binding: Binding,
    rows: Box<dyn StoredRows>,
    _holder: Option<Holder>,
}

pub(super) async fn retry(settings: &Settings, args: &RetryArgs) -> Result<(), Failure> {
    let log = stores::open_log(settings).await?;
    let reader: &dyn Reader = &*log;
    let mut chosen = Chosen::of(reader, &args.meant, "retry").await?;
    let mut opened = BTreeMap::new();
    let (mut done, mut left) = (0_u64, 0_u64);
    let outcome = async {
        while let Some(found) = chosen.next().await? {
            let name = format!("{}/{}", found.partition, found.offset);
            match again(settings, &*log, &mut opened, &found).await {
                Ok(Some(went)) => {
                    letters::mark(&*log, &found, Disposition::Retried, "local", &went).await?;
                    done += 1;
                    println!("{name} is {went}");
                }
                Ok(None) => {
                    left += 1;
                    println!("{name} changed nothing: the store still cannot take it, or holds another row in its place; it goes on waiting");
                }
                Err(Reaction::Rejected(why)) => {
                    left += 1;
                    println!("{name} was not sent again: {why}");
                }
                Err(other) => return Err(Failure::from(other)),
            }
        }
        Ok(())
    };
    let outcome = outcome.await;
    if done > 0 {
        let data = serde_json::json!({ "letters": done, "left": left, "meant": args.meant.told() });
        pipeline::audit(&*log, "dead_letters_retried", "dead-letters", "info", data).await?;
    }
    outcome?;
    let waiting = if left > 0 { format!(", {} on waiting", counted(left, "goes", "go")) } else { String::new() };
    anstream::eprintln!("{} sent again{waiting}", counted(done, "dead letter", "dead letters"));
    if left > 0 && done == 0 {
        return Err(Failure::Failed("none was sent again: the lines above say why".to_owned()));
    }
    Ok(())
}

/// Sends a letter again; says where it is, or nothing where its store does not take it.
async fn again(settings: &Settings, log: &dyn Log, opened: &mut BTreeMap<&'static str, Opened>, found: &Found) -> Result<Option<String>, Reaction> {
    let name = match dead_letters::way(&found.letter)? {
        Way::Source => {
            let (partition, offset) = dead_letters::retry(log, found).await?;
            return Ok(Some(format!("in {HOSPITAL_TRANSACTIONS} again, at {partition}/{offset}")));
        }
        Way::Store(name) => name,
    };
    let known = [("ledger", StoreName::Ledger), ("documents", StoreName::Documents), ("metrics", StoreName::Metrics), ("search", StoreName::Search)];
    let Some((role, store)) = known.into_iter().find(|(role, _)| *role == name) else {
        return Err(Reaction::Rejected(format!("there is no store {name:?}: discard the letter")));
    };
    if !opened.contains_key(role) {
        // An embedded store has one writer: its sink must not run meanwhile.
        let holder = if settings.places.is_embedded(RoleName::from(store)) { Some(Holder::take(settings.places.locks(), role)?) } else { None };
        opened.insert(role, Opened { store: stores::open_store(settings, store).await?, binding: Binding::default(), rows: open::rows(settings, store).await?, _holder: holder });
    }
    let Some(opened) = opened.get_mut(role) else { return Ok(None) };
    if letters::rewrite(log, &mut *opened.store, &mut opened.binding, found).await? > 0 {
        return Ok(Some(format!("in the {role} store, which had not held it")));
    }
    let is_there = letters::holds(log, &mut *opened.rows, found).await?;
    Ok(is_there.then(|| format!("in the {role} store already")))
}
