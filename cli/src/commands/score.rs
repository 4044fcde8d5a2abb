//! `wardhouse score`: the engine offline.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use wh_scorer::offline::score::{self, Order, Rejects, ScoreSettings};

use crate::args::{OrderName, ScoreArgs};
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

/// Opens a file that may be gzip or zstd, told by its first bytes.
fn open(path: &Path) -> Result<Box<dyn BufRead>, Failure> {
    let told = |e: io::Error| Failure::Failed(format!("cannot read {}: {e}", path.display()));
    decoded(File::open(path).map_err(told)?).map_err(told)
}

fn decoded(input: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let head = input.fill_buf()?;
    Ok(if head.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(1 << 16, flate2::bufread::MultiGzDecoder::new(input)))
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(BufReader::with_capacity(1 << 16, zstd::stream::read::Decoder::with_buffer(input)?))
    } else {
        Box::new(input)
    })
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
    let mut input = match args.file.as_deref() {
        Some(path) if path != Path::new("-") => open(path)?,
        _ => decoded(io::stdin())?,
    };
    let create = |path: &Path| File::create(path).map(BufWriter::new).map_err(|e| Failure::Failed(format!("cannot write {}: {e}", path.display())));
    let mut rejects = RejectFile(args.rejects.as_deref().map(create).transpose()?);
    let mut output: Box<dyn Write> = match args.output.as_deref() {
        Some(path) => Box::new(create(path)?),
        None => Box::new(BufWriter::with_capacity(1 << 16, io::stdout())),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let score = ScoreSettings {
        ruleset: settings.ruleset.clone(),
        reading: settings.reading.clone(),
        order: if args.order == OrderName::EventTime { Order::EventTime } else { Order::File },
        partitions: settings.partitions,
        threads: args.threads.unwrap_or(cores),
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
    Ok(())
}
