//! What a scheme sees: the hospital and its honest books.

use std::collections::HashMap;

use crate::dice::{Dice, index, whole};
use crate::row::{DAY, Device, Party, Row};
use crate::transaction::Kind;
use crate::world::World;
use crate::world::accounts::Owner;

/// The hospital ([`World`]) and every honest row in order of time, with look-ups by user. Read only.
pub struct Stage<'a> {
    /// People, accounts, vendors, calendar.
    pub world: &'a World,
    /// Every honest row, sorted by time.
    pub rows: &'a [Row],
    by_user: Vec<Vec<usize>>,
    amounts: HashMap<(usize, Kind), Vec<i64>>,
    spending: Vec<Option<Kind>>,
    workdays: Vec<Vec<usize>>,
    last_seen: Vec<Option<usize>>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(world: &'a World, rows: &'a [Row]) -> Stage<'a> {
        let people = world.people.len();
        let mut by_user = vec![Vec::new(); people];
        let mut amounts: HashMap<(usize, Kind), Vec<i64>> = HashMap::new();
        let mut workdays: Vec<Vec<usize>> = vec![Vec::new(); people];
        let mut bought = vec![[0usize; 8]; people];
        let mut last_seen = vec![None; world.accounts.len()];
        for (i, row) in rows.iter().enumerate() {
            by_user[row.user].push(i);
            amounts.entry((row.user, row.kind)).or_default().push(row.cents);
            if workdays[row.user].last() != Some(&row.day()) {
                workdays[row.user].push(row.day());
            }
            for party in [Some(row.account), row.counterparty].into_iter().flatten() {
                if let Party::Known(account) = party {
                    last_seen[account] = Some(row.day());
                }
            }
            if let Some(Party::Known(account)) = row.counterparty
                && world.accounts[account] == Owner::Vendor
            {
                bought[row.user][row.kind as usize] += 1;
            }
        }
        for list in amounts.values_mut() {
            list.sort_unstable();
        }
        let spending = bought.iter().map(|n| Kind::ALL.into_iter().max_by_key(|&k| n[k as usize]).filter(|&k| n[k as usize] >= 25)).collect();
        Stage { world, rows, by_user, amounts, spending, workdays, last_seen }
    }

    /// First day on which fraud may occur.
    #[must_use]
    pub fn warm_up(&self) -> usize {
        self.world.warm_up
    }

    /// Number of days.
    #[must_use]
    pub fn end(&self) -> usize {
        self.world.days
    }

    /// A user's honest rows, in order of time.
    pub fn rows_of(&self, user: usize) -> impl DoubleEndedIterator<Item = &'a Row> + '_ {
        self.by_user[user].iter().map(|&i| &self.rows[i])
    }

    /// Days on which the user entered anything.
    #[must_use]
    pub fn workdays(&self, user: usize) -> &[usize] {
        &self.workdays[user]
    }

    /// The kind with which that user mostly pays vendors, `None` for those who do not.
    #[must_use]
    pub fn spending(&self, user: usize) -> Option<Kind> {
        self.spending[user]
    }

    /// Somebody with at least `least` honest rows of that kind.
    pub fn doer(&self, dice: &mut Dice, kind: Kind, least: usize) -> Option<usize> {
        let found: Vec<usize> = (0..self.by_user.len()).filter(|&u| self.amounts.get(&(u, kind)).is_some_and(|a| a.len() >= least)).collect();
        dice.pick(&found).copied()
    }

    /// Somebody who pays vendors.
    pub fn spender(&self, dice: &mut Dice) -> Option<usize> {
        let found: Vec<usize> = (0..self.by_user.len()).filter(|&u| self.spending[u].is_some()).collect();
        dice.pick(&found).copied()
    }

    /// Several different people who pay vendors.
    #[must_use]
    pub fn spenders(&self, dice: &mut Dice, n: usize) -> Vec<usize> {
        let mut found: Vec<usize> = (0..self.by_user.len()).filter(|&u| self.spending[u].is_some()).collect();
        dice.shuffle(&mut found);
        found.truncate(n);
        found
    }

    /// The amount below which that share of the user's amounts of that kind lies, in cents; 10.00 for somebody without any.
    #[must_use]
    pub fn quantile(&self, user: usize, kind: Kind, share: f64) -> i64 {
        let Some(list) = self.amounts.get(&(user, kind)) else { return 1_000 };
        let at = index(whole(share.clamp(0.0, 1.0) * (list.len() - 1) as f64));
        list[at]
    }

    /// An amount as that user has them for that kind, between two quantiles; half of them repeat one to the cent.
    pub fn amount(&self, dice: &mut Dice, user: usize, kind: Kind, low: f64, high: f64) -> i64 {
        let share = dice.between(low, high);
        let cents = self.quantile(user, kind, share);
        if dice.chance(0.5) { cents } else { whole(cents as f64 * dice.between(0.93, 1.07)) }
    }

    /// `n` of the user's working days within a window of `span` days after the warm-up, in order. Days repeat if there are
    /// fewer. `None` if the user works too little.
    pub fn days(&self, dice: &mut Dice, user: usize, n: usize, span: usize) -> Option<Vec<usize>> {
        let span = span.clamp(1, self.end().saturating_sub(self.warm_up()).max(1));
        for _ in 0..30 {
            let from = self.warm_up() + dice.below(self.end().saturating_sub(self.warm_up() + span) + 1);
            let mut there: Vec<usize> = self.workdays[user].iter().copied().filter(|d| (from..from + span).contains(d)).collect();
            // Somebody who has just come has no habits yet.
            let before = self.workdays[user].iter().filter(|&&d| d < from).count();
            if before < 12 || there.len() * 3 < n.min(span) {
                continue;
            }
            while there.len() > n {
                let at = dice.below(there.len());
                there.remove(at);
            }
            let distinct = there.clone();
            while there.len() < n {
                there.extend(dice.pick(&distinct));
            }
            there.sort_unstable();
            return Some(there);
        }
        None
    }

    /// A moment at which that user could be entering something on that day: close to an honest entry.
    pub fn moment(&self, dice: &mut Dice, user: usize, day: usize) -> i64 {
        let list = &self.by_user[user];
        let from = list.partition_point(|&i| self.rows[i].day() < day);
        let to = list.partition_point(|&i| self.rows[i].day() <= day);
        let near = if from < to { self.rows[list[dice.count(from, to - 1)]].at } else { day as i64 * DAY + dice.from_to(30_000, 60_000) };
        (near + 40 + whole(dice.waiting(700.0)).min(5_400)).min((day as i64 + 1) * DAY - 1).max(day as i64 * DAY)
    }

    /// A row as that user enters them for that kind: account and counterparty from one honest row, amount from another,
    /// at a moment of that day. `None` if the user has none of that kind.
    pub fn entry(&self, dice: &mut Dice, user: usize, kind: Kind, day: usize) -> Option<Row> {
        let list = &self.by_user[user];
        let near = list.partition_point(|&i| self.rows[i].day() <= day);
        let found = (0..400).find_map(|k| {
            // Prefers the last weeks.
            let at = if k < 200 { near.checked_sub(1 + dice.below(near.clamp(1, 150)))? } else { dice.below(list.len()) };
            let row = &self.rows[*list.get(at)?];
            (row.kind == kind && row.department.is_none() && !matches!(row.device, Device::Batch(_))).then_some(row)
        })?;
        let cents = self.amount(dice, user, kind, 0.0, 1.0);
        Some(Row { at: self.moment(dice, user, day), cents, reference: None, device: Device::Usual, scenario: "", ..found.clone() })
    }

    /// [`Stage::entry`] of the kind with which the user pays vendors.
    pub fn spend(&self, dice: &mut Dice, user: usize, day: usize) -> Option<Row> {
        let kind = self.spending(user)?;
        (0..12).find_map(|_| self.entry(dice, user, kind, day).filter(|row| matches!(row.counterparty, Some(Party::Known(c)) if self.world.accounts[c] == Owner::Vendor)))
    }

    /// Vendors that the user paid before that day, without repetition.
    #[must_use]
    pub fn vendors(&self, user: usize, day: usize) -> Vec<Party> {
        let mut out = Vec::new();
        for row in self.rows_of(user).take_while(|r| r.day() < day) {
            if let Some(Party::Known(c)) = row.counterparty
                && self.world.accounts[c] == Owner::Vendor
                && !out.contains(&Party::Known(c))
            {
                out.push(Party::Known(c));
            }
        }
        out
    }

    /// Honest rows between two days (first included, last not) that meet a condition.
    pub fn between(&self, from: usize, to: usize, keep: impl Fn(&Row) -> bool) -> Vec<&'a Row> {
        let start = self.rows.partition_point(|r| r.day() < from);
        let end = self.rows.partition_point(|r| r.day() < to);
        self.rows[start.min(end)..end].iter().filter(|r| keep(r)).collect()
    }

    /// Accounts of that kind that no honest row touches after that day, but some did before.
    #[must_use]
    pub fn asleep_after(&self, owner: Owner, day: usize) -> Vec<usize> {
        (0..self.last_seen.len()).filter(|&a| self.world.accounts[a] == owner && self.last_seen[a].is_some_and(|seen| seen < day)).collect()
    }
}
