//! `wardhouse score`: the engine offline.
//!
//! What must stay true: scores alone go to the output; what became of the lines is told on standard error.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use wh_scorer::offline::pass;
use wh_scorer::offline::score::{self, Rejects, ScoreSettings};

use crate::args::OrderName;
use crate::commands::input;
use crate::failure::Failure;
use crate::settings::Settings;

/// `score`
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// NDJSON, plain, gzip or zstd; stdin where none is named.
    file: Option<PathBuf>,
    /// Where malformed lines go, with line number and reason.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Order of scoring.
    #[arg(long, value_enum, default_value_t = OrderName::File)]
    order: OrderName,
    /// Threads; the output does not depend on it [default: one a core, at most three].
    #[arg(long)]
    threads: Option<usize>,
    /// Write the output here instead of to stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Score by this ruleset file, in place of the one that the settings name.
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
}

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
    let same = |a: &Option<PathBuf>, b: &Option<PathBuf>| match (a, b) {
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
        order: args.order.into(),
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
    for sentence in pass::sentences(&summary.unanswered, summary.scored, &[]) {
        anstream::eprintln!("{sentence}");
    }
    if summary.pattern_alerts_without_line > 0 {
        anstream::eprintln!(
            "{} alerts of patterns by account came when their line had been written, since more than {} lines would have waited: score with --order event-time to see them",
            summary.pattern_alerts_without_line,
            wh_scorer::offline::held::MOST
        );
    }
    Ok(())
}
