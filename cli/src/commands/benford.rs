//! `wardhouse benford`: first digits of amounts against Benford's law.

use std::path::PathBuf;

use clap::Args;
use wh_schemas::validate::decode_transaction;
use wh_scorer::offline::benford::Benford;
use wh_scorer::offline::source::{Lines, Source};

use crate::commands::input;
use crate::failure::Failure;
use crate::settings::Settings;

/// `benford`
#[derive(Debug, Args)]
pub(crate) struct BenfordArgs {
    /// NDJSON, plain, gzip or zstd, or - for stdin.
    file: PathBuf,
    /// Lines of each kind, the furthest from the law first.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// One JSON array of all.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(settings: &Settings, args: &BenfordArgs) -> Result<(), Failure> {
    let bar = input::bar("reading");
    let mut lines = Lines::new(input::open(&args.file, Some(&bar))?);
    let mut benford = Benford::default();
    loop {
        let read = lines.read(4_096)?;
        if read.is_empty() {
            break;
        }
        for transaction in read.iter().filter_map(|line| decode_transaction(&line.text, &settings.reading).ok()) {
            benford.add(&transaction.user_id, &transaction.department, transaction.amount);
        }
    }
    bar.finish_and_clear();
    if args.json {
        anstream::println!("{}", serde_json::to_string_pretty(&benford.lines()).map_err(|e| e.to_string())?);
    } else {
        anstream::print!("{}", benford.text(args.limit));
    }
    Ok(())
}
