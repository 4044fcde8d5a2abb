//! The simulation: who acts next, when incidents begin, and the stream that comes of it.
//!
//! What must stay true: one queue orders everything by time and then by when it was put there, so equal seeds give
//! equal streams; each person has one waiting event, so memory grows with people and with the rows of open incidents and
//! never with the length of the stream; identifiers are given out in the order of the stream, to all rows alike.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use wh_schemas::time::DAY;
use wh_schemas::transaction::TransactionType;

use super::accounts::Market;
use super::dice::{Dice, whole};
use super::habits::Hospital;
use super::papers::{Channel, Clerk, Draft};
use super::people::Staff;
use super::rhythm::{LAST, Rhythm};
use super::scenarios::{PREPARATION, SCENARIOS, Scenario};
use super::{Generated, GeneratorSettings, Truth, check};

/// Incidents that may begin with one row: enough to catch up, too few to hold up the stream.
const BEGINNINGS: u32 = 2;
/// Mean time between two payments of a pay run, in microseconds.
const PAY_RUN_GAP: f64 = 40e6;
/// A pay run begins up to so long after 17:30, in microseconds.
const PAY_RUN_DELAY: f64 = 45.0 * 60e6;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// The person's next ordinary transaction.
    Habit(u32),
    /// The next payment of a pay run, and how many come after it.
    PayRun { person: u32, left: u32 },
    /// A member of an incident, by its place on the shelf.
    Planned(usize),
}

/// Ordered by time, then by `order`, which no two events share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    time: i64,
    order: u64,
    what: What,
}

/// The drafts of open incidents. Places are used again.
#[derive(Default)]
struct Shelf {
    drafts: Vec<(Draft, Truth)>,
    free: Vec<usize>,
}

impl Shelf {
    fn put(&mut self, draft: Draft, truth: Truth) -> usize {
        if let Some(place) = self.free.pop() {
            self.drafts[place] = (draft, truth);
            return place;
        }
        self.drafts.push((draft, truth));
        self.drafts.len() - 1
    }

    fn take(&mut self, place: usize) -> (Draft, Truth) {
        self.free.push(place);
        self.drafts[place]
    }
}

/// A hospital whose transactions are the items of this iterator, in the order of event time. It ends only where the
/// calendar of the wire format does, in the year 9999.
pub struct World {
    hospital: Hospital,
    clerk: Clerk,
    queue: BinaryHeap<Reverse<Event>>,
    /// Events put into the queue so far.
    order: u64,
    shelf: Shelf,
    /// Scenarios still to come before each has come once more.
    deck: Vec<&'static Scenario>,
    /// Reused by each incident.
    script: Vec<Draft>,
    anomaly_rate: f64,
    /// Rows of a microsecond in the mean.
    pace: f64,
    /// Time of the last row.
    now: i64,
    rows: u64,
    incidents: u64,
    /// Rows of incidents, emitted or still waiting.
    incident_rows: u64,
    /// Sum over those rows of the time from the incident's planning to the row, in microseconds.
    incident_delay: f64,
}

impl World {
    /// A world at its first instant.
    ///
    /// # Errors
    /// A sentence that names the setting that makes no sense and what it may be.
    pub fn new(settings: GeneratorSettings) -> Result<World, String> {
        check(&settings)?;
        let GeneratorSettings { seed, users, start, transactions_per_user_day, anomaly_rate, zone } = settings;
        let mut dice = Dice::new(seed);
        let mut market = Market::new(users);
        // What incidents add comes out of the same density.
        let staff = Staff::new(&mut dice, &mut market, users, transactions_per_user_day * (1.0 - anomaly_rate));
        let mut world = World {
            hospital: Hospital { dice, rhythm: Rhythm::new(zone), staff, market },
            clerk: Clerk::new(seed),
            queue: BinaryHeap::with_capacity(users as usize + 1_024),
            order: 0,
            shelf: Shelf::default(),
            deck: Vec::with_capacity(SCENARIOS.len()),
            script: Vec::with_capacity(64),
            anomaly_rate,
            pace: transactions_per_user_day * f64::from(users) / DAY as f64,
            now: start.0,
            rows: 0,
            incidents: 0,
            incident_rows: 0,
            incident_delay: 0.0,
        };
        for person in 0..users {
            let time = world.hospital.next_habit(person, start.0);
            world.schedule(time, What::Habit(person));
            world.schedule_pay_run(person, start.0);
        }
        Ok(world)
    }

    fn schedule(&mut self, time: i64, what: What) {
        self.order += 1;
        self.queue.push(Reverse(Event { time, order: self.order, what }));
    }

    fn schedule_pay_run(&mut self, person: u32, from: i64) {
        let rows = self.hospital.staff.person(person).pay_run;
        if rows > 0 {
            let delay = whole(self.hospital.dice.unit() * PAY_RUN_DELAY);
            let time = self.hospital.rhythm.next_pay_evening(from) + delay;
            self.schedule(time, What::PayRun { person, left: rows - 1 });
        }
    }

    /// Begins incidents while their rows, emitted and waiting, are fewer than their share of all rows. Those that wait
    /// do so for `incident_delay / incident_rows` in the mean; by Little's law as many are always waiting as fall due in
    /// that time, and without adding them the emitted share would stay behind by just so many.
    fn begin_incidents(&mut self) {
        for _ in 0..BEGINNINGS {
            let planned = self.incident_rows as f64;
            let mean_delay = self.incident_delay / planned.max(1.0);
            let due = self.anomaly_rate * (self.rows as f64 + self.pace * mean_delay);
            if planned >= due {
                return;
            }
            self.begin_incident();
        }
    }

    fn begin_incident(&mut self) {
        if self.deck.is_empty() {
            // A shuffled deck: chance has no say in how often a scenario occurs, only in when.
            self.deck.extend(SCENARIOS.iter());
            for last in (1..self.deck.len()).rev() {
                let other = self.hospital.dice.index(last + 1);
                self.deck.swap(last, other);
            }
        }
        let Some(scenario) = self.deck.pop() else { return };
        let from = self.now + whole(self.hospital.dice.unit() * PREPARATION);
        let mut script = std::mem::take(&mut self.script);
        (scenario.play)(&mut self.hospital, from, &mut script);
        self.incidents += 1;
        let truth = Truth { incident: self.incidents, scenario: scenario.name };
        self.incident_rows += script.len() as u64;
        for draft in script.drain(..) {
            self.incident_delay += (draft.time - self.now) as f64;
            let place = self.shelf.put(draft, truth);
            self.schedule(draft.time, What::Planned(place));
        }
        self.script = script;
    }
}

impl Iterator for World {
    type Item = Generated;

    fn next(&mut self) -> Option<Generated> {
        self.begin_incidents();
        let Reverse(Event { time, what, .. }) = self.queue.pop()?;
        if time > LAST {
            // Whatever else waits is later still.
            self.queue.clear();
            return None;
        }
        self.now = time;
        let (draft, truth) = match what {
            What::Habit(person) => {
                let draft = self.hospital.habit(person, time);
                let next = self.hospital.next_habit(person, time);
                self.schedule(next, What::Habit(person));
                (draft, None)
            }
            What::PayRun { person, left } => {
                let draft = self.hospital.work(person, time, TransactionType::Payroll);
                if left > 0 {
                    let next = time + self.hospital.dice.gap(PAY_RUN_GAP);
                    self.schedule(next, What::PayRun { person, left: left - 1 });
                } else {
                    self.schedule_pay_run(person, time);
                }
                (Draft { channel: Channel::Batch, ..draft }, None)
            }
            What::Planned(place) => {
                let (draft, truth) = self.shelf.take(place);
                (draft, Some(truth))
            }
        };
        let local = self.hospital.rhythm.local(time);
        let transaction = self.clerk.transaction(&draft, self.rows, local);
        self.rows += 1;
        Some(Generated { transaction, truth })
    }
}
