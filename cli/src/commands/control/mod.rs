//! What operators tell a scorer that runs: `rules apply`, `rules history`, `rules show --running`, `release`, `fit-priors --apply`. Each is a
//! record of `scorer-control`; whether it counts is the scorer's to say.
//!
//! What must stay true: a record that the log holds is done, whether a scorer runs or not; only one that was refused is a failure.

mod history;
mod release;
mod send;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use wh_schemas::control::ControlChange;
use wh_scorer::engine::ruleset::Priors;

pub(crate) use history::{history, in_force, running};
pub(crate) use release::release;

use crate::failure::Failure;
use crate::ruleset;
use crate::settings::Settings;
use send::{send, targets};

/// Bytes that one read of the log asks for.
const READ_BYTES: usize = 1 << 20;

/// Why, and how long an answer is waited for.
#[derive(Clone, Debug, Args)]
pub(crate) struct SendArgs {
    /// Why, for the audit log.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Wait at most so long for a scorer to accept or refuse it; recorded it is in any case.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, conflicts_with = "no_wait")]
    wait: u64,
    /// Do not wait for an answer.
    #[arg(long)]
    no_wait: bool,
}

/// `rules apply`
#[derive(Clone, Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The ruleset file.
    file: PathBuf,
    /// This partition only [default: each].
    #[arg(long)]
    partition: Option<u32>,
    /// First seq scored under it [default: behind what the partition is to score in 5 s, at least 50 behind what it has scored].
    #[arg(long, value_name = "SEQ", requires = "partition")]
    from_seq: Option<u64>,
    #[command(flatten)]
    send: SendArgs,
}

/// `release`
#[derive(Clone, Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// The transaction, by its id or by that of its alert; an alert of a pattern by account cannot be released.
    transaction_id: String,
    #[command(flatten)]
    send: SendArgs,
}

/// `rules apply`
pub(crate) fn apply(settings: &Settings, args: &ApplyArgs) -> Result<(), Failure> {
    let candidate = ruleset::read(&args.file).map_err(Failure::Settings)?;
    let text = std::fs::read_to_string(&args.file).map_err(|e| format!("cannot read {}: {e}", args.file.display()))?;
    if candidate.account_rules() != settings.ruleset.account_rules() {
        anstream::eprintln!(
            "[accounts], limits or below_limit differ from the settings' ruleset: patterns by account take theirs from the settings at the start of their stage. \
             Name {} in the settings too, and start that stage again",
            args.file.display()
        );
    }
    anstream::eprintln!("{:?}, content hash {}", candidate.name, candidate.content_hash());
    let change = ControlChange::Ruleset { ruleset: text };
    send(settings, &args.send, &|partitions| Ok(targets(args.partition, args.from_seq, partitions)?.into_iter().map(|(p, from)| (p, from, change.clone())).collect()))
}

/// `fit-priors --apply`
pub(crate) fn apply_priors(settings: &Settings, priors: &Priors, args: &SendArgs) -> Result<(), Failure> {
    let text = toml::to_string(&BTreeMap::from([("priors", priors)])).map_err(|e| format!("the priors cannot be written: {e}"))?;
    let change = ControlChange::Priors { priors: text };
    send(settings, args, &|partitions| Ok((0..partitions).map(|p| (p, None, change.clone())).collect()))
}
