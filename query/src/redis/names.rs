//! The ids of the users that are asked for, page by page.
//!
//! What must stay true: they come in the order of their bytes over all partitions; each index is read from where the page before ended,
//! so that none is missed that was there all the time, and none comes twice; no more than a page of each partition is held.

use std::cmp::Ordering;
use std::collections::VecDeque;

use redis::pipe;

use super::dialect::Asked;
use super::store::RedisBaselines;
use crate::errors::QueryError;

/// The users that are asked for, page by page, in the order of their ids.
pub(crate) struct Names {
    partitions: Vec<u32>,
    descending: bool,
    source: Source,
}

enum Source {
    /// Known by name; each may be in any partition.
    Named(std::vec::IntoIter<String>),
    /// Read from the index of each partition.
    Ranged(Vec<Cursor>),
}

/// How far the index of a partition is read.
struct Cursor {
    partition: u32,
    from: Vec<u8>,
    to: Vec<u8>,
    waiting: VecDeque<Vec<u8>>,
    done: bool,
}

impl Names {
    pub(crate) fn new(asked: &Asked, partitions: Vec<u32>, descending: bool) -> Names {
        let source = match asked.named() {
            Some(mut named) => {
                if descending {
                    named.reverse();
                }
                Source::Named(named.into_iter())
            }
            None => {
                let (from, to) = asked.range();
                let cursor = |partition: &u32| Cursor { partition: *partition, from: from.clone(), to: to.clone(), waiting: VecDeque::new(), done: false };
                Source::Ranged(partitions.iter().map(cursor).collect())
            }
        };
        Names { partitions, descending, source }
    }

    /// The next page, which may be a little larger than wanted; empty at the end.
    pub(crate) async fn page(&mut self, store: &RedisBaselines, wanted: usize) -> Result<Vec<(u32, Vec<u8>)>, QueryError> {
        let mut page = Vec::new();
        match &mut self.source {
            Source::Named(named) => {
                for user in named.by_ref().take(wanted.div_ceil(self.partitions.len().max(1))) {
                    page.extend(self.partitions.iter().map(|partition| (*partition, user.clone().into_bytes())));
                }
            }
            Source::Ranged(cursors) => {
                while page.len() < wanted {
                    // What comes next is not known before each partition shows a name.
                    if cursors.iter().any(Cursor::is_dry) {
                        fill(store, cursors, wanted, self.descending).await?;
                    }
                    let Some(first) = next(cursors, self.descending) else { break };
                    page.push(first);
                }
            }
        }
        Ok(page)
    }
}

impl Cursor {
    fn is_dry(&self) -> bool {
        self.waiting.is_empty() && !self.done
    }
}

/// Reads on in the index of each partition that shows no name.
async fn fill(store: &RedisBaselines, cursors: &mut [Cursor], wanted: usize, descending: bool) -> Result<(), QueryError> {
    let mut request = pipe();
    for cursor in cursors.iter().filter(|cursor| cursor.is_dry()) {
        request.cmd("ZRANGE").arg(store.keys.index(cursor.partition));
        if descending {
            request.arg(&cursor.to).arg(&cursor.from).arg("BYLEX").arg("REV");
        } else {
            request.arg(&cursor.from).arg(&cursor.to).arg("BYLEX");
        }
        request.arg("LIMIT").arg(0).arg(wanted);
    }
    let found: Vec<Vec<Vec<u8>>> = store.ask(&request).await?;
    for (cursor, names) in cursors.iter_mut().filter(|cursor| cursor.is_dry()).zip(found) {
        cursor.done = names.len() < wanted;
        if let Some(last) = names.last() {
            let behind = [b"(".as_slice(), last.as_slice()].concat();
            if descending { cursor.to = behind } else { cursor.from = behind }
        }
        cursor.waiting = names.into();
    }
    Ok(())
}

/// The first name of all partitions.
fn next(cursors: &mut [Cursor], descending: bool) -> Option<(u32, Vec<u8>)> {
    let first = |one: &&mut Cursor, other: &&mut Cursor| -> Ordering {
        let order = one.waiting.front().cmp(&other.waiting.front());
        if descending { order.reverse() } else { order }
    };
    let cursor = cursors.iter_mut().filter(|cursor| !cursor.waiting.is_empty()).min_by(first)?;
    Some((cursor.partition, cursor.waiting.pop_front()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors() -> Vec<Cursor> {
        let cursor = |partition: u32, names: &[&str]| Cursor {
            partition,
            from: Vec::new(),
            to: Vec::new(),
            waiting: names.iter().map(|name| name.as_bytes().to_vec()).collect(),
            done: true,
        };
        vec![cursor(0, &["a", "d"]), cursor(1, &[]), cursor(2, &["b", "c", "d"])]
    }

    #[test]
    fn names_of_all_partitions_come_in_one_order() {
        let mut cursors = cursors();
        let merged: Vec<(u32, Vec<u8>)> = std::iter::from_fn(|| next(&mut cursors, false)).collect();
        let shown: Vec<(u32, &str)> = merged.iter().map(|(partition, name)| (*partition, std::str::from_utf8(name).unwrap())).collect();
        assert_eq!(shown, [(0, "a"), (2, "b"), (2, "c"), (0, "d"), (2, "d")]);
    }
}
