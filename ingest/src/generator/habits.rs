//! What people do on an ordinary day, and the hospital in which they do it.
//!
//! What must stay true: incidents take their rows from here as well and change only what makes them an incident, so
//! that everything else about them is as ordinary as in any other row.

use wh_schemas::transaction::TransactionType;

use super::accounts::{Market, Party};
use super::amounts;
use super::dice::Dice;
use super::papers::{Channel, Draft};
use super::people::Staff;
use super::rhythm::Rhythm;

/// Share of rows in which a colleague of the same department is stood in for.
const STAND_IN: f64 = 0.015;
/// Share of rows that repeat a standing amount.
const STANDING: f64 = 0.12;
/// Share of rows booked for another department than the person's own.
const ELSEWHERE: f64 = 0.03;
/// Share of rows that honestly touch a dormant account.
const OLD_BOOKING: f64 = 0.0004;

/// People, accounts, clock and chance.
pub(super) struct Hospital {
    pub(super) dice: Dice,
    pub(super) rhythm: Rhythm,
    pub(super) staff: Staff,
    pub(super) market: Market,
}

impl Hospital {
    /// The instant of the person's next ordinary transaction after `from`.
    pub(super) fn next_habit(&mut self, person: u32, from: i64) -> i64 {
        let who = self.staff.person(person);
        self.rhythm.next(&mut self.dice, from, who.shift, who.phase, who.per_day)
    }

    /// An instant after `from` at which the person is likely to be at work, `per_day` of them a day.
    pub(super) fn next_work(&mut self, person: u32, from: i64, per_day: f64) -> i64 {
        let who = self.staff.person(person);
        self.rhythm.next(&mut self.dice, from, who.shift, who.phase, per_day)
    }

    /// What the person does in a normal moment, now and then for a colleague.
    pub(super) fn habit(&mut self, person: u32, time: i64) -> Draft {
        let model = if self.dice.chance(STAND_IN) { self.staff.colleague(&mut self.dice, person) } else { person };
        self.routine(person, model, time)
    }

    /// The person's own kind of work.
    pub(super) fn own_work(&mut self, person: u32, time: i64) -> Draft {
        self.routine(person, person, time)
    }

    /// Work of the given type as the person would do it.
    pub(super) fn work(&mut self, person: u32, time: i64, kind: TransactionType) -> Draft {
        self.work_like(person, person, time, kind)
    }

    fn routine(&mut self, person: u32, model: u32, time: i64) -> Draft {
        let who = self.staff.person(model);
        let standing = who.standing[self.dice.index(who.standing.len())];
        if self.dice.chance(STANDING) {
            let draft = self.work_like(person, model, time, standing.kind);
            return Draft { counterparty: standing.counterparty, cents: standing.cents, ..draft };
        }
        let kind = who.role.trade().kind(&mut self.dice);
        self.work_like(person, model, time, kind)
    }

    /// Work of the given type by `person`, with the accounts, counterparties and amounts of `model`.
    fn work_like(&mut self, person: u32, model: u32, time: i64, kind: TransactionType) -> Draft {
        let Hospital { dice, staff, market, .. } = self;
        let terminal = staff.person(person).terminal(dice);
        let model = &mut staff.people[model as usize];
        let trade = model.role.trade();
        let account = if dice.chance(OLD_BOOKING) { market.any_dormant(dice) } else { model.account(dice) };
        let mut counterparty = model.counterparty(dice, market, kind);
        if counterparty == Party::House(account) {
            counterparty = Party::House(market.another_house(account, 1));
        }
        Draft {
            time,
            person,
            account,
            counterparty,
            cents: amounts::draw(dice, kind, trade.retail, model.scale),
            reference: dice.below(10_000_000),
            subject: dice.below(100_000),
            terminal,
            department: if dice.chance(ELSEWHERE) { dice.department() } else { model.department },
            wording: u8::try_from(dice.below(4)).unwrap_or(0),
            kind,
            channel: Channel::ALL[dice.weighted(&trade.channels)],
        }
    }
}
