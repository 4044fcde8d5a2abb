//! The staff: roles with their own mix of work, and people with their own shift, pace, accounts and habits.
//!
//! What must stay true: people of one role have consecutive indices, so that finding one of a role needs no search;
//! a person takes a fixed amount of memory, whatever they do and for how long; the mean pace over all people is exactly
//! the density that was asked for.

use wh_schemas::time::HOUR;
use wh_schemas::transaction::TransactionType::{self, Adjustment, Billing, InsuranceClaim, Payment, Payroll, Procurement, Refund, Transfer};

use super::accounts::{Market, Party};
use super::amounts;
use super::dice::{Dice, slot, whole};
use super::rhythm::Shift;

/// What someone is employed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    BillingClerk,
    AdmissionsDesk,
    Cashier,
    ClaimsOfficer,
    NurseManager,
    Pharmacist,
    LabManager,
    Buyer,
    Accountant,
    Treasurer,
    PayrollOfficer,
    ItAdministrator,
}

impl Role {
    const ALL: [Role; 12] = [
        Role::BillingClerk,
        Role::AdmissionsDesk,
        Role::Cashier,
        Role::ClaimsOfficer,
        Role::NurseManager,
        Role::Pharmacist,
        Role::LabManager,
        Role::Buyer,
        Role::Accountant,
        Role::Treasurer,
        Role::PayrollOfficer,
        Role::ItAdministrator,
    ];

    /// What the role's work is like.
    pub(super) fn trade(self) -> &'static Trade {
        &TRADES[self as usize]
    }
}

/// A role's work. Weights of one list add up to 1.
pub(super) struct Trade {
    /// Share of the staff.
    share: f64,
    /// Where people of this role are at home.
    departments: &'static [u8],
    /// By type of transaction, in the order of `TransactionType::ALL`.
    pub(super) mix: [f64; 8],
    /// In the order of [`Shift::ALL`].
    shifts: [f64; 4],
    /// In the order of `Channel::ALL`.
    pub(super) channels: [f64; 4],
    /// Transactions a day compared with others.
    pace: f64,
    /// Size of amounts compared with others.
    scale: f64,
    /// Takes payments at a counter.
    pub(super) retail: bool,
}

impl Trade {
    /// A type of transaction by the role's mix.
    pub(super) fn kind(&self, dice: &mut Dice) -> TransactionType {
        TransactionType::ALL[dice.weighted(&self.mix)]
    }
}

// Departments by their place in `wh_schemas::transaction::DEPARTMENTS`.
const CLINICAL: &[u8] = &[0, 1, 2, 3, 4, 5, 6];
const ADMINISTRATION: &[u8] = &[9, 11];

/// In the order of [`Role::ALL`]. Columns of the mix: billing, payment, refund, transfer, adjustment, insurance claim,
/// payroll, procurement.
#[rustfmt::skip]
static TRADES: [Trade; 12] = [
    Trade { share: 0.20, departments: &[0, 11, 1, 2, 3, 4, 5, 6, 7], mix: [0.68, 0.08, 0.05, 0.01, 0.10, 0.08, 0.00, 0.00],
        shifts: [0.75, 0.20, 0.00, 0.05], channels: [0.70, 0.10, 0.15, 0.05], pace: 1.2, scale: 1.0, retail: true },
    Trade { share: 0.12, departments: &[0, 9, 4, 5], mix: [0.48, 0.41, 0.04, 0.00, 0.01, 0.06, 0.00, 0.00],
        shifts: [0.35, 0.25, 0.25, 0.15], channels: [0.35, 0.63, 0.02, 0.00], pace: 1.1, scale: 0.8, retail: true },
    Trade { share: 0.10, departments: &[11, 0, 8, 9], mix: [0.10, 0.75, 0.12, 0.00, 0.03, 0.00, 0.00, 0.00],
        shifts: [0.55, 0.25, 0.05, 0.15], channels: [0.15, 0.83, 0.02, 0.00], pace: 1.5, scale: 0.9, retail: true },
    Trade { share: 0.11, departments: ADMINISTRATION, mix: [0.08, 0.06, 0.04, 0.00, 0.10, 0.72, 0.00, 0.00],
        shifts: [0.95, 0.05, 0.00, 0.00], channels: [0.60, 0.02, 0.33, 0.05], pace: 1.1, scale: 1.1, retail: false },
    Trade { share: 0.14, departments: CLINICAL, mix: [0.28, 0.08, 0.00, 0.00, 0.16, 0.00, 0.10, 0.38],
        shifts: [0.50, 0.20, 0.20, 0.10], channels: [0.82, 0.16, 0.02, 0.00], pace: 0.5, scale: 0.7, retail: false },
    Trade { share: 0.06, departments: &[8], mix: [0.40, 0.10, 0.00, 0.00, 0.08, 0.00, 0.00, 0.42],
        shifts: [0.60, 0.25, 0.10, 0.05], channels: [0.60, 0.25, 0.15, 0.00], pace: 0.9, scale: 0.9, retail: false },
    Trade { share: 0.05, departments: &[7, 6], mix: [0.50, 0.00, 0.00, 0.00, 0.10, 0.00, 0.00, 0.40],
        shifts: [0.70, 0.20, 0.10, 0.00], channels: [0.60, 0.05, 0.35, 0.00], pace: 0.8, scale: 1.0, retail: false },
    Trade { share: 0.07, departments: &[9, 5, 10, 8], mix: [0.00, 0.20, 0.00, 0.03, 0.05, 0.00, 0.00, 0.72],
        shifts: [1.00, 0.00, 0.00, 0.00], channels: [0.78, 0.02, 0.18, 0.02], pace: 0.9, scale: 1.5, retail: false },
    Trade { share: 0.07, departments: &[11], mix: [0.07, 0.26, 0.07, 0.34, 0.20, 0.00, 0.00, 0.06],
        shifts: [1.00, 0.00, 0.00, 0.00], channels: [0.65, 0.02, 0.18, 0.15], pace: 0.9, scale: 1.4, retail: false },
    Trade { share: 0.03, departments: &[11], mix: [0.00, 0.20, 0.00, 0.75, 0.05, 0.00, 0.00, 0.00],
        shifts: [1.00, 0.00, 0.00, 0.00], channels: [0.45, 0.00, 0.35, 0.20], pace: 0.7, scale: 2.2, retail: false },
    Trade { share: 0.03, departments: ADMINISTRATION, mix: [0.00, 0.08, 0.00, 0.15, 0.15, 0.00, 0.62, 0.00],
        shifts: [1.00, 0.00, 0.00, 0.00], channels: [0.65, 0.00, 0.05, 0.30], pace: 0.8, scale: 1.0, retail: false },
    Trade { share: 0.02, departments: &[10], mix: [0.00, 0.10, 0.00, 0.00, 0.10, 0.00, 0.00, 0.80],
        shifts: [0.80, 0.15, 0.05, 0.00], channels: [0.75, 0.00, 0.25, 0.00], pace: 0.4, scale: 1.8, retail: false },
];

/// Mean length of a month, in days.
const MONTH: f64 = 30.44;
/// Most payments of one pay run.
const LONGEST_PAY_RUN: i64 = 150;
/// Share of rows with a vendor whom nobody has paid before.
const NEW_VENDOR: f64 = 0.006;

/// Something that a person books again and again, to the cent.
#[derive(Clone, Copy)]
pub(super) struct Standing {
    pub(super) kind: TransactionType,
    pub(super) counterparty: Party,
    pub(super) cents: i64,
}

/// One user.
pub(super) struct Person {
    pub(super) role: Role,
    /// Home department.
    pub(super) department: u8,
    pub(super) shift: Shift,
    /// How much later than the shift's clock the person comes, in microseconds; negative is earlier.
    pub(super) phase: i64,
    /// Transactions a day in the mean over a week, pay runs not counted.
    pub(super) per_day: f64,
    /// Payments of one monthly pay run; 0 for whoever does not pay salaries.
    pub(super) pay_run: u32,
    /// Size of the person's amounts compared with others.
    pub(super) scale: f64,
    accounts: [u32; 3],
    vendors: [u32; 6],
    insurers: [u32; 3],
    pub(super) standing: [Standing; 2],
    /// The person's own workstation.
    terminal: u32,
}

impl Person {
    /// `rank` is the person's place among those of the role.
    fn new(dice: &mut Dice, market: &mut Market, index: u32, role: Role, rank: u32) -> Person {
        let trade = role.trade();
        let department = trade.departments[rank as usize % trade.departments.len()];
        // Multiples of the golden ratio lie evenly in any number of them: a role of five has its night shift too.
        let spot = (0.31 + f64::from(rank) * 0.618_034) % 1.0;
        let nothing = Standing { kind: Adjustment, counterparty: Party::Nobody, cents: 1_000 };
        let mut person = Person {
            role,
            department,
            shift: Shift::ALL[slot(&trade.shifts, spot)],
            phase: whole((dice.unit() - 0.5) * 1.5 * HOUR as f64),
            per_day: trade.pace * libm::exp(0.4 * dice.normal()),
            pay_run: 0,
            scale: trade.scale * libm::exp(0.3 * dice.normal()),
            accounts: std::array::from_fn(|_| market.house(dice, department)),
            vendors: std::array::from_fn(|_| market.known_vendor(dice)),
            insurers: std::array::from_fn(|_| market.insurer(dice)),
            standing: [nothing; 2],
            terminal: 1_000 + index,
        };
        for place in 0..person.standing.len() {
            let kind = trade.kind(dice);
            let counterparty = person.counterparty(dice, market, kind);
            let cents = amounts::draw(dice, kind, trade.retail, person.scale);
            person.standing[place] = Standing { kind, counterparty, cents };
        }
        person
    }

    /// One of the accounts that the person books on, the first most of the time.
    pub(super) fn account(&self, dice: &mut Dice) -> u32 {
        self.accounts[dice.weighted(&[0.7, 0.2, 0.1])]
    }

    /// The workstation in use: the person's own, now and then one that the department shares.
    pub(super) fn terminal(&self, dice: &mut Dice) -> u32 {
        if dice.chance(0.05) { u32::from(self.department) * 80 + dice.below(40) } else { self.terminal }
    }

    /// The other side of a transaction of that type.
    pub(super) fn counterparty(&mut self, dice: &mut Dice, market: &mut Market, kind: TransactionType) -> Party {
        match kind {
            Billing => market.patient(dice),
            Payment if self.role.trade().retail => market.patient(dice),
            Payment => match dice.weighted(&[0.78, 0.12, 0.10]) {
                0 => self.vendor(dice, market),
                1 => market.employee(dice),
                _ => self.insurer(dice, market),
            },
            // Employees are patients too, and are refunded to their own account.
            Refund => match dice.weighted(&[0.84, 0.10, 0.06]) {
                0 => market.patient(dice),
                1 => self.insurer(dice, market),
                _ => market.employee(dice),
            },
            Transfer => {
                let department = if dice.chance(0.5) { self.department } else { dice.department() };
                Party::House(market.house(dice, department))
            }
            Adjustment => match dice.weighted(&[0.55, 0.15, 0.30]) {
                0 => market.patient(dice),
                1 => self.insurer(dice, market),
                _ => Party::Nobody,
            },
            InsuranceClaim => self.insurer(dice, market),
            Payroll => market.employee(dice),
            Procurement => self.vendor(dice, market),
        }
    }

    fn vendor(&mut self, dice: &mut Dice, market: &mut Market) -> Party {
        let place = dice.index(self.vendors.len());
        if dice.chance(NEW_VENDOR) {
            // Whoever is new stays for a while, so that "new" alone says little.
            self.vendors[place] = market.new_vendor();
        } else if dice.chance(0.15) {
            return Party::Vendor(market.known_vendor(dice));
        }
        Party::Vendor(self.vendors[place])
    }

    fn insurer(&self, dice: &mut Dice, market: &Market) -> Party {
        let habitual = self.insurers[dice.index(self.insurers.len())];
        Party::Insurer(if dice.chance(0.2) { market.insurer(dice) } else { habitual })
    }
}

/// Everyone, by index.
pub(super) struct Staff {
    pub(super) people: Vec<Person>,
    users: u32,
    /// First and one past the last index of each role.
    roles: [(u32, u32); 12],
    /// Indices by home department.
    departments: Vec<Vec<u32>>,
}

impl Staff {
    /// Hires `users` people who do `per_day` transactions a day in the mean over all of them.
    pub(super) fn new(dice: &mut Dice, market: &mut Market, users: u32, per_day: f64) -> Staff {
        let mut staff = Staff { people: Vec::with_capacity(users as usize), users, roles: [(0, 0); 12], departments: vec![Vec::new(); 12] };
        let (mut role, mut reached, mut rank, mut pace) = (0, TRADES[0].share, 0, 0.0);
        for index in 0..users {
            let quantile = (f64::from(index) + 0.5) / f64::from(users);
            while quantile >= reached && role + 1 < TRADES.len() {
                role += 1;
                reached += TRADES[role].share;
                rank = 0;
            }
            let person = Person::new(dice, market, index, Role::ALL[role], rank);
            if rank == 0 {
                staff.roles[role].0 = index;
            }
            staff.roles[role].1 = index + 1;
            rank += 1;
            pace += person.per_day;
            staff.departments[usize::from(person.department)].push(index);
            staff.people.push(person);
        }
        let mean = pace / f64::from(users);
        for person in &mut staff.people {
            person.per_day *= per_day / mean;
            if person.role == Role::PayrollOfficer {
                // Half of a month's work in one evening; the rest of the month is so much quieter.
                let rows = whole(person.per_day * MONTH * 0.5).clamp(0, LONGEST_PAY_RUN);
                person.pay_run = u32::try_from(rows).unwrap_or(0);
                person.per_day -= f64::from(person.pay_run) / MONTH;
            }
        }
        staff
    }

    /// The person with that index.
    pub(super) fn person(&self, index: u32) -> &Person {
        &self.people[index as usize]
    }

    /// Anyone.
    pub(super) fn anyone(&self, dice: &mut Dice) -> u32 {
        dice.below(self.users)
    }

    /// Someone of one of the roles, or anyone where a small staff has none of them.
    pub(super) fn someone(&self, dice: &mut Dice, roles: &[Role]) -> u32 {
        let first = dice.index(roles.len());
        for step in 0..roles.len() {
            let (start, end) = self.roles[roles[(first + step) % roles.len()] as usize];
            if start < end {
                return start + dice.below(end - start);
            }
        }
        self.anyone(dice)
    }

    /// Someone who works office hours, if a few tries find one.
    pub(super) fn office_worker(&self, dice: &mut Dice) -> u32 {
        let mut found = self.anyone(dice);
        for _ in 0..16 {
            if self.person(found).shift == Shift::Day {
                break;
            }
            found = self.anyone(dice);
        }
        found
    }

    /// Someone of the person's department, perhaps the person.
    pub(super) fn colleague(&self, dice: &mut Dice, person: u32) -> u32 {
        let mates = &self.departments[usize::from(self.person(person).department)];
        mates[dice.index(mates.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staff_of_fifty_has_every_role_and_every_shift() {
        let (mut dice, mut market) = (Dice::new(1), Market::new(50));
        let staff = Staff::new(&mut dice, &mut market, 50, 24.0);
        for (role, (start, end)) in Role::ALL.into_iter().zip(staff.roles) {
            assert!(start < end, "{role:?}");
            assert!((start..end).all(|index| staff.person(index).role == role), "{role:?}");
        }
        for shift in Shift::ALL {
            assert!(staff.people.iter().any(|person| person.shift == shift), "{shift:?}");
        }
        let total: f64 = staff.people.iter().map(|person| person.per_day + f64::from(person.pay_run) / MONTH).sum();
        assert!((total / 50.0 - 24.0).abs() < 1e-9, "{total}");
    }

    #[test]
    fn the_weights_of_every_trade_add_up_to_one() {
        assert!((TRADES.iter().map(|trade| trade.share).sum::<f64>() - 1.0).abs() < 1e-9);
        for trade in &TRADES {
            for weights in [trade.mix.as_slice(), &trade.shifts, &trade.channels] {
                assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{weights:?}");
            }
        }
    }
}
