//! The hospital: who works there, with whom it deals, what things cost. Drawn once from the seed, then read only.

pub mod accounts;
pub mod amounts;
pub mod people;
pub mod rhythm;

use accounts::{Employee, Owner, Patient, Ward};
use amounts::Vendor;
use chrono_tz::Tz;
use people::{Person, Role};
use rhythm::Calendar;

use crate::config::Config;
use crate::dice::Dice;
use crate::transaction::{Department, Kind};

/// Zones that a hospital may stand in.
const ZONES: [Tz; 6] = [Tz::Europe__Berlin, Tz::America__New_York, Tz::Europe__London, Tz::America__Chicago, Tz::UTC, Tz::Australia__Sydney];

/// Everything about the hospital that does not depend on a single transaction.
#[derive(Clone, Debug)]
pub struct World {
    /// Number of days.
    pub days: usize,
    /// First day on which fraud may occur.
    pub warm_up: usize,
    /// The hospital's zone.
    pub zone: Tz,
    /// Weekdays, holidays, ends of months.
    pub calendar: Calendar,
    /// Everybody who enters transactions.
    pub people: Vec<Person>,
    /// Every account, by what it is.
    pub accounts: Vec<Owner>,
    /// Every vendor.
    pub vendors: Vec<Vendor>,
    /// One a department, in the order of [`Department::ALL`].
    pub wards: Vec<Ward>,
    /// Accounts of insurers.
    pub insurers: Vec<usize>,
    /// Everybody on the payroll; the first ones are [`World::people`], in that order.
    pub employees: Vec<Employee>,
    /// The account that wages are paid from.
    pub wages: usize,
    /// The account that cash is pooled on.
    pub pool: usize,
    /// By department: the patients known at the end of the stream, in the order of their coming.
    pub patients: Vec<Vec<Patient>>,
    /// How many invoice, claim and bill numbers are given out.
    pub references: usize,
}

impl World {
    pub(crate) fn new(config: &Config, dice: &mut Dice) -> World {
        let calendar = Calendar::new(config, dice);
        let people = people::staff(config, dice);
        let mut world = World {
            days: config.days,
            warm_up: config.warm_up(),
            zone: ZONES[dice.below(ZONES.len())],
            calendar,
            people,
            accounts: Vec::new(),
            vendors: Vec::new(),
            wards: Vec::new(),
            insurers: Vec::new(),
            employees: Vec::new(),
            wages: 0,
            pool: 0,
            patients: vec![Vec::new(); 12],
            references: 0,
        };
        world.wages = world.open(Owner::Internal);
        world.pool = world.open(Owner::Internal);
        for department in Department::ALL {
            let ward = Ward {
                department,
                cost: world.open(Owner::Internal),
                income: world.open(Owner::Internal),
                desk: world.open(Owner::Internal),
                further: (0..dice.count(1, 4)).map(|_| world.open(Owner::Internal)).collect(),
                tariffs: amounts::tariffs(dice, department),
            };
            world.wards.push(ward);
        }
        world.insurers = (0..dice.count(8, 20)).map(|_| world.open(Owner::Insurer)).collect();
        for ward in 0..12 {
            for _ in 0..dice.count(40, 120) {
                world.admit(dice, ward);
            }
        }
        world.hire(dice);
        world.trade(config, dice);
        world
    }

    /// Opens an account.
    pub(crate) fn open(&mut self, owner: Owner) -> usize {
        self.accounts.push(owner);
        self.accounts.len() - 1
    }

    /// Gives out the number of an invoice, claim or bill.
    pub(crate) fn reference(&mut self) -> usize {
        self.references += 1;
        self.references - 1
    }

    /// A new patient; some pay in cash, some from the account of a relative.
    pub(crate) fn admit(&mut self, dice: &mut Dice, ward: usize) -> Patient {
        let account = self.open(Owner::Patient);
        let bank = match dice.below(100) {
            0..35 => self.wards[ward].desk,
            35..43 => match dice.pick(&self.patients[ward]) {
                Some(relative) => relative.bank,
                None => self.wards[ward].desk,
            },
            _ => self.open(Owner::PatientBank),
        };
        let insurer = self.insurers[dice.zipf(self.insurers.len())];
        let patient = Patient { account, bank, insurer };
        self.patients[ward].push(patient);
        patient
    }

    fn hire(&mut self, dice: &mut Dice) {
        let users = self.people.len();
        for i in 0..users * 2 + users / 5 {
            let bank = self.open(Owner::Employee);
            let since = match self.people.get_mut(i) {
                Some(person) => {
                    person.bank = bank;
                    person.hired
                }
                None if dice.chance(0.08) => dice.below(self.days),
                None => 0,
            };
            let agency = i >= users && dice.chance(0.12);
            let changes = dice.chance(0.05).then(|| dice.below(self.days)).map(|day| (day, self.open(Owner::Employee)));
            let wage = if agency { dice.price(6.4, 0.3) } else { dice.price(7.9, 0.35) };
            self.employees.push(Employee { bank, changes, wage, since, agency, department: Department::ALL[dice.below(12)] });
        }
    }

    fn trade(&mut self, config: &Config, dice: &mut Dice) {
        let known = 60 + config.users;
        let coming = config.days * 2 / 3;
        for i in 0..known + coming {
            let account = self.open(Owner::Vendor);
            let since = if i < known { 0 } else { 3 + dice.below(config.days) };
            let mut vendor = Vendor::draw(dice, account, since);
            vendor.seasonal = i < known && dice.chance(0.12);
            self.vendors.push(vendor);
        }
        let mut order: Vec<usize> = (0..self.vendors.len()).collect();
        order.sort_by_key(|&v| self.vendors[v].since);
        let calm = self.people.clone();
        for (p, person) in calm.iter().enumerate() {
            let buys = !matches!(person.role, Role::Cashier | Role::BillingClerk | Role::ClaimsClerk | Role::PayrollClerk | Role::NightRegistrar);
            if !buys {
                continue;
            }
            let pays = person.role == Role::PayableClerk;
            let mut list: Vec<(usize, usize)> = Vec::new();
            for &v in &order {
                let vendor = &self.vendors[v];
                let near = vendor.department.is_none_or(|d| d == person.home);
                let chance = match (near, pays, vendor.since > 0) {
                    _ if vendor.seasonal => 0.0,
                    (true, _, false) => 0.22,
                    (true, _, true) => 0.16,
                    (false, true, _) => 0.08,
                    (false, false, _) => 0.015,
                };
                if dice.chance(chance) {
                    let place = dice.below(list.len() + 1);
                    // The first customers of a new vendor come soon after one another.
                    let from = if vendor.since == 0 { 0 } else { vendor.since + dice.below(18) };
                    list.insert(place, (v, from));
                }
            }
            while list.iter().filter(|v| v.1 == 0).count() < 4 {
                list.push((dice.below(known), 0));
            }
            self.people[p].vendors = list;
        }
    }

    /// Whether the role deals with vendors.
    #[must_use]
    pub fn buys(&self, user: usize) -> bool {
        !self.people[user].vendors.is_empty()
    }

    /// Users of a role.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = usize> + '_ {
        (0..self.people.len()).filter(move |&u| self.people[u].role == role)
    }

    /// Whether the person's mix has that kind.
    #[must_use]
    pub fn does(&self, user: usize, kind: Kind) -> bool {
        self.people[user].mix.iter().any(|&(k, _)| k == kind)
    }
}
