//! `wardhouse score`: the engine offline.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use wh_scorer::offline::score::{self, Order, Rejects, ScoreSettings};

use crate::args::{OrderName, ScoreArgs};
use crate::commands::input;
use crate::failure::Failure;
use crate::settings::Settings;

/// Rejected lines, as NDJSON; counted only where no file is named.
struct RejectFile(Option<BufWriter<File>>);

impl Rejects for RejectFile {
    fn reject(&mut self, line: u64, class: &str, reason: &str, raw: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        let mut entry = serde_json::json!({ "line": line, "class": class, "reason": reason });
        match std::str::from_utf8(raw) {
            Ok(text) => entry["raw"] = text.into(),
            Err(_) => entry["raw_hex"] = raw.iter().map(|b| format!("{b:02x}")).collect::<String>().into(),
        }
        writeln!(file, "{entry}")
    }
}

/// Refuses to write over a file that is read, or two outputs into one file.
fn apart(args: &ScoreArgs) -> Result<(), Failure> {
    let same = |a: &Option<std::path::PathBuf>, b: &Option<std::path::PathBuf>| match (a, b) {
        (Some(a), Some(b)) => a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b),
        _ => false,
    };
    for (a, b, what) in
        [(&args.output, &args.file, "--output is the input"), (&args.rejects, &args.file, "--rejects is the input"), (&args.rejects, &args.output, "--rejects is --output")]
    {
        if same(a, b) {
            return Err(Failure::Settings(vec![format!("{what}: name another file")]));
        }
    }
    Ok(())
}

pub(crate) fn run(settings: &Settings, args: &ScoreArgs) -> Result<(), Failure> {
    apart(args)?;
    let mut input = input::open(args.file.as_deref().unwrap_or(Path::new("-")), None)?;
    let create = |path: &Path| File::create(path).map(BufWriter::new).map_err(|e| Failure::Failed(format!("cannot write {}: {e}", path.display())));
    let mut rejects = RejectFile(args.rejects.as_deref().map(create).transpose()?);
    let mut output: Box<dyn Write> = match args.output.as_deref() {
        Some(path) => Box::new(create(path)?),
        None => Box::new(BufWriter::with_capacity(1 << 16, io::stdout())),
    };
    let score = ScoreSettings {
        ruleset: settings.ruleset.clone(),
        reading: settings.reading.clone(),
        order: if args.order == OrderName::EventTime { Order::EventTime } else { Order::File },
        partitions: settings.partitions,
        threads: args.threads.unwrap_or_else(input::cores),
    };
    let summary = score::run(&mut *input, &mut *output, &mut rejects, &score)?;
    output.flush()?;
    if let Some(file) = &mut rejects.0 {
        file.flush()?;
    }
    anstream::eprintln!(
        "{} lines: {} scored ({} alerts), {} duplicates, {} rejected{}",
        summary.lines,
        summary.scored,
        summary.alerts,
        summary.duplicates,
        summary.rejected,
        match (&args.rejects, summary.rejected) {
            (_, 0) => String::new(),
            (Some(path), _) => format!(" (see {})", path.display()),
            (None, _) => " (name a file with --rejects to see why)".to_owned(),
        }
    );
    if summary.pattern_alerts_without_line > 0 {
        anstream::eprintln!(
            "{} alerts of patterns by account came when their line had been written, since more than {} lines would have waited: score with --order event-time to see them",
            summary.pattern_alerts_without_line,
            wh_scorer::offline::held::MOST
        );
    }
    Ok(())
}
