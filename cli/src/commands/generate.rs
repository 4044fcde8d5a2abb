//! `wardhouse generate`: transactions of a hospital that does not exist.

use std::fs::File;
use std::io::{BufWriter, Write};

use wh_ingest::generator::{GeneratorSettings, World, write_json};
use wh_schemas::{Micros, ids};

use crate::args::{GenerateArgs, Target};
use crate::commands::runtime;
use crate::failure::Failure;
use crate::settings::Settings;
use crate::{stores, world};

pub(crate) fn run(settings: &Settings, args: &GenerateArgs) -> Result<(), Failure> {
    let start =
        Micros::parse(&args.start, settings.zone).ok_or_else(|| Failure::Settings(vec![format!("--start {:?}: expected a time such as 2026-01-01T00:00:00Z", args.start)]))?;
    if args.days == 0 || args.users == 0 {
        return Err(Failure::Settings(vec!["--days and --users: expected at least 1".to_owned()]));
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of transactions")]
    let density = (args.count.max(1) as f64 / f64::from(args.days) / f64::from(args.users)).max(0.001);
    let generator = GeneratorSettings { seed: args.seed, users: args.users, start, transactions_per_user_day: density, anomaly_rate: args.anomaly_rate, zone: settings.zone };
    let world = World::new(generator).map_err(|e| Failure::Settings(vec![e]))?;
    let mut labels = match &args.labels {
        Some(path) => Some(BufWriter::new(File::create(path).map_err(|e| format!("cannot write {}: {e}", path.display()))?)),
        None => None,
    };
    let rows = world.take(usize::try_from(args.count).unwrap_or(usize::MAX)).map(|generated| -> Result<_, Failure> {
        if let (Some(labels), Some(truth)) = (&mut labels, &generated.truth) {
            let line = serde_json::json!({ "transaction_id": generated.transaction.transaction_id, "incident": truth.incident, "scenario": truth.scenario });
            writeln!(labels, "{line}")?;
        }
        Ok(generated)
    });
    match args.to {
        Target::Stdout => {
            let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
            let mut line = Vec::with_capacity(512);
            for generated in rows {
                line.clear();
                write_json(&generated?.transaction, &mut line);
                line.push(b'\n');
                out.write_all(&line)?;
            }
            out.flush()?;
        }
        Target::Log => {
            let runtime = runtime("generate")?;
            let log = runtime.block_on(stores::open_log(settings))?;
            let mut batches = vec![Vec::new(); settings.partitions as usize];
            let mut count = 0_u64;
            for generated in rows {
                let generated = generated?;
                let partition = ids::partition_of(generated.transaction.user_id.as_bytes(), settings.partitions);
                let batch = &mut batches[partition as usize];
                batch.push(world::record(&generated));
                count += 1;
                if batch.len() >= 2_000 {
                    runtime.block_on(world::append(&*log, partition, std::mem::take(batch)))?;
                }
            }
            for (partition, batch) in batches.into_iter().enumerate().filter(|(_, b)| !b.is_empty()) {
                runtime.block_on(world::append(&*log, u32::try_from(partition).unwrap_or(0), batch))?;
            }
            anstream::eprintln!("{count} transactions are in the log at {}", settings.places.shown(wh_stores::Role::Log));
        }
    }
    if let Some(labels) = &mut labels {
        labels.flush()?;
    }
    Ok(())
}
