//! Files that the offline commands read: plain, gzip or zstd, told by their first bytes, with a bar where somebody looks.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wh_scorer::offline::source::{Input, Source};

use crate::failure::Failure;

/// A bar over the bytes of a file; none where standard error is no terminal.
pub(crate) fn bar(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {bytes}/{total_bytes} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_prefix(what)
}

/// A bar over things that are counted.
pub(crate) fn counting_bar(what: &'static str, count: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {eta}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_prefix(what)
}

/// Opens a file, or standard input for `-`; the bar, where one is given, follows the bytes read.
pub(crate) fn open(path: &Path, bar: Option<&ProgressBar>) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(decoded(io::stdin())?);
    }
    let told = |e: io::Error| Failure::Failed(format!("cannot read {}: {e}", path.display()));
    let file = File::open(path).map_err(told)?;
    match bar {
        None => decoded(file).map_err(told),
        Some(bar) => {
            if let Ok(metadata) = file.metadata() {
                bar.set_length(metadata.len());
            }
            decoded(bar.wrap_read(file)).map_err(told)
        }
    }
}

/// The bytes of what may be gzip or zstd.
pub(crate) fn decoded(input: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
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

/// Threads that score, where none are named: one a core.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A source that moves a bar by its records.
pub(crate) struct Followed<S> {
    /// The source.
    pub(crate) source: S,
    /// The bar.
    pub(crate) bar: ProgressBar,
}

impl<S: Source> Source for Followed<S> {
    fn read(&mut self, most: usize) -> io::Result<Vec<Input>> {
        let read = self.source.read(most)?;
        self.bar.inc(read.len() as u64);
        Ok(read)
    }
}
