//! The rows of one partition, as log, group and store see them.

/// How a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Good,
    /// The store refuses it by name.
    Refused,
    /// The store refuses the batch that it is in, and says no more.
    Poison,
}

/// Where a row is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Not,
    Written,
    Visible,
}

/// One partition, as log, group and store see it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) rows: Vec<(Nature, Held)>,
    /// Every row below it can be read, or is in the dead letters.
    pub(super) visible: u64,
    /// What the store has taken and not made visible.
    pub(super) written: Option<u64>,
    pub(super) committed: Option<u64>,
    pub(super) owned: bool,
    pub(super) paused: bool,
    /// Where the consumer reads on, once it was told.
    pub(super) reading: Option<u64>,
}

impl Seen {
    pub(super) fn end(&self) -> u64 {
        self.rows.len() as u64
    }

    pub(super) fn row(&self, offset: u64) -> (Nature, Held) {
        usize::try_from(offset).ok().and_then(|at| self.rows.get(at)).copied().unwrap_or_else(|| panic!("offset {offset} was never appended"))
    }

    pub(super) fn hold(&mut self, offset: u64, held: Held) {
        if let Some((_, now)) = usize::try_from(offset).ok().and_then(|at| self.rows.get_mut(at)) {
            *now = held;
        }
    }

    /// What was written and is not visible is given up.
    pub(super) fn give_up(&mut self) {
        self.written = None;
        for (_, held) in self.rows.iter_mut().filter(|(_, held)| *held == Held::Written) {
            *held = Held::Not;
        }
    }
}
