//! Which letters something is done with: those that are named, or those that wait and a filter takes.
//!
//! What must stay true: nothing is done before it is known how many are meant; more than one needs `--all`; under a limit they are those that `list`
//! shows under it.

use wh_eventlog::dead_letters::{Dispositions, Filter, Found, letter_at};
use wh_eventlog::{Offset, Reader};
use wh_ops::letters::{Waiting, newest, waiting};
use wh_stores::clock;

use super::Meant;
use crate::failure::Failure;

/// The letters that are meant, one at a time.
pub(super) enum Chosen<'l> {
    /// Those that were named; the last of them first.
    Named(Vec<Found>),
    /// Those that a filter takes.
    Waiting(Box<Waiting<'l>>),
    /// The newest of those, where they stand; the oldest of them last.
    Newest(&'l dyn Reader, Vec<(u32, Offset)>),
}

impl<'l> Chosen<'l> {
    /// Looks which letters are meant; `what` is to be done with them.
    pub(super) async fn of(log: &'l dyn Reader, meant: &Meant, what: &str) -> Result<Chosen<'l>, Failure> {
        let mut filter = meant.which.filter(log).await?;
        if meant.letters.is_empty() {
            if filter.is_empty() && !meant.all {
                return Err(Failure::Settings(vec![format!(
                    "name the letters to {what} (partition/offset, as `wardhouse dead-letters list` prints it), say which by --stage, --class and the like, or --all"
                )]));
            }
            // What fails again meanwhile is for the next time.
            filter.until = Some(filter.until.unwrap_or(i64::MAX).min(clock::now().0));
            return Chosen::waiting(log, meant, filter, what).await;
        }
        if !filter.is_empty() || meant.limit.is_some() {
            return Err(Failure::Settings(vec!["name the letters, or say which by --stage, --class, --limit and the like: not both".to_owned()]));
        }
        if meant.letters.len() > 1 && !meant.all {
            return Err(Failure::Settings(vec![format!("{} letters are named: say --all to {what} them all", meant.letters.len())]));
        }
        let dispositions = Dispositions::read(log).await?;
        let mut named = Vec::new();
        for name in meant.letters.iter().rev() {
            let found = find(log, name).await?;
            match dispositions.of(&found.letter) {
                Some(done) => anstream::println!("{name} was {} before: nothing is done with it", done.as_str()),
                None => named.push(found),
            }
        }
        Ok(Chosen::Named(named))
    }

    async fn waiting(log: &'l dyn Reader, meant: &Meant, filter: Filter, what: &str) -> Result<Chosen<'l>, Failure> {
        let limit = meant.limit.unwrap_or(u64::MAX);
        let all = waiting(log, &filter).await?;
        let count = all.min(limit);
        if count > 1 && !meant.all {
            return Err(Failure::Settings(vec![format!(
                "{count} letters are meant: say --all to {what} them all, or --limit 1 for the newest; `wardhouse dead-letters list` shows them"
            )]));
        }
        if limit < all {
            let mut places = newest(log, &filter, usize::try_from(limit).unwrap_or(usize::MAX)).await?;
            places.reverse();
            return Ok(Chosen::Newest(log, places));
        }
        Ok(Chosen::Waiting(Box::new(Waiting::new(log, filter).await?)))
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Result<Option<Found>, Failure> {
        match self {
            Chosen::Named(named) => Ok(named.pop()),
            Chosen::Waiting(letters) => Ok(letters.next().await?),
            Chosen::Newest(log, places) => {
                while let Some((partition, offset)) = places.pop() {
                    // Retention may have taken it meanwhile.
                    if let Some(found) = letter_at(*log, partition, offset).await? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
        }
    }
}

/// The letter of a name.
pub(super) async fn find(log: &dyn Reader, name: &str) -> Result<Found, Failure> {
    let place = name.split_once('/').and_then(|(partition, offset)| Some((partition.parse::<u32>().ok()?, offset.parse::<u64>().ok()?)));
    let Some((partition, offset)) = place else {
        return Err(Failure::Settings(vec![format!("{name:?}: expected partition/offset, as `wardhouse dead-letters list` prints it")]));
    };
    letter_at(log, partition, offset).await?.ok_or_else(|| Failure::Failed(format!("there is no dead letter {name}")))
}
