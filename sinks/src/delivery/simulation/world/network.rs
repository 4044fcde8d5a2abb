//! The way between instances and the store: requests and replies are lost, late, doubled, overtaken.

use std::time::Duration;

use wh_schemas::Reaction;

use super::{Body, Message, World};
use crate::delivery::machine::{Answer, Task, Ticket, Trust};
use crate::delivery::simulation::Flaw;
use crate::delivery::simulation::instance::{Instance, Pending};
use crate::delivery::simulation::store::{Next, Reply, Request};
use crate::delivery::{StorePosition, Written};

impl World {
    pub(super) fn store_is_away(&self) -> bool {
        self.is_chaos() && self.now < self.store_away_until
    }

    pub(super) fn log_fails(&mut self) -> bool {
        let fails = self.is_chaos() && (self.now < self.log_away_until || self.dice.one_in(30));
        self.counts.failures_of_the_log += u64::from(fails);
        fails
    }

    /// Whether something of so many goes wrong.
    pub(super) fn chance(&mut self, many: u64) -> bool {
        self.is_chaos() && self.dice.one_in(many)
    }

    pub(super) fn delay(&mut self) -> Duration {
        if self.chance(25) { self.dice.millis(100, 700) } else { self.dice.millis(1, 25) }
    }

    pub(super) fn send(&mut self, at: usize, ticket: Ticket, task: Task, request: Request) {
        self.next_nonce += 1;
        let (nonce, instance) = (self.next_nonce, self.instances[at].id);
        let deadline = self.now + self.dice.millis(120, 240);
        self.instances[at].pending = Some(Pending { ticket, task, nonce, deadline });
        if self.chance(25) {
            self.counts.lost_requests += 1;
            self.note(|| format!("request {nonce} of instance {instance} is lost: {}", brief(&request)));
            return;
        }
        if self.chance(15) {
            self.counts.doubled_requests += 1;
            let due = self.now + self.dice.millis(30, 900);
            self.network.push(Message { due, instance, nonce, body: Body::Request(request.clone()) });
        }
        let due = self.now + self.delay();
        self.note(|| format!("request {nonce} of instance {instance}: {}", brief(&request)));
        self.network.push(Message { due, instance, nonce, body: Body::Request(request) });
    }

    /// Everything whose time has come arrives, in any order.
    pub(super) fn deliver(&mut self) -> Result<(), String> {
        loop {
            let due: Vec<usize> = self.network.iter().enumerate().filter(|(_, message)| message.due <= self.now).map(|(at, _)| at).collect();
            let Some(at) = self.dice.pick(&due) else { return Ok(()) };
            let Message { instance, nonce, body, .. } = self.network.swap_remove(at);
            match body {
                Body::Request(request) => self.serve(instance, nonce, &request)?,
                Body::Reply(reply) => self.reply(instance, nonce, reply)?,
            }
        }
    }

    pub(super) fn serve(&mut self, instance: usize, nonce: u64, request: &Request) -> Result<(), String> {
        if self.store_is_away() {
            return Ok(());
        }
        let reply = if self.chance(40) {
            self.counts.refusals_to_answer += 1;
            let retry_after = self.dice.one_in(2).then(|| self.dice.millis(1, 120));
            Reply::Busy(Reaction::Transient { message: "busy".to_owned(), retry_after })
        } else {
            let chaos = self.is_chaos();
            self.server.handle(request, &mut self.dice, chaos)
        };
        self.counts.divided += u64::from(matches!(&reply, Reply::Applied(Err(Reaction::Rejected(_))) | Reply::Inserted(Err(Reaction::Rejected(_)))));
        self.note(|| format!("request {nonce} is served: {}", brief_of(&reply)));
        self.check_positions()?;
        if self.chance(25) {
            self.counts.lost_replies += 1;
            self.note(|| format!("the reply to {nonce} is lost"));
            return Ok(());
        }
        let due = self.now + self.delay();
        self.network.push(Message { due, instance, nonce, body: Body::Reply(reply) });
        Ok(())
    }

    pub(super) fn reply(&mut self, id: usize, nonce: u64, reply: Reply) -> Result<(), String> {
        let waits = |instance: &Instance| instance.id == id && instance.pending.as_ref().is_some_and(|pending| pending.nonce == nonce);
        let Some(at) = self.instances.iter().position(waits) else {
            self.counts.late_replies += 1;
            return Ok(());
        };
        let Some(pending) = self.instances[at].pending.take() else { return Ok(()) };
        let next = self.instances[at].client.replied(&pending.task, reply);
        self.go_on(at, pending.ticket, pending.task, next)
    }

    /// A call goes on, or ends.
    pub(super) fn go_on(&mut self, at: usize, ticket: Ticket, task: Task, next: Next) -> Result<(), String> {
        match next {
            Next::Send(request) => {
                self.send(at, ticket, task, request);
                Ok(())
            }
            Next::Answer(mut answer) => {
                if let (Task::Ask { partitions, .. }, Answer::Stands { positions: Ok(_), bounds, .. }) = (&task, &mut answer) {
                    *bounds = if self.log_fails() {
                        Err(Reaction::transient("the log is away"))
                    } else {
                        Ok(partitions.iter().map(|partition| (*partition, self.log.bounds(*partition))).collect())
                    };
                }
                self.answer(at, ticket, answer)
            }
        }
    }

    pub(super) fn answer(&mut self, at: usize, ticket: Ticket, answer: Answer) -> Result<(), String> {
        let now = self.now;
        let instance = &mut self.instances[at];
        let (id, before) = (instance.id, instance.machine.trust());
        if self.dice.one_in(10) {
            // It may come twice.
            instance.late.push((ticket, answer.clone()));
        }
        let outcome = instance.machine.answered(ticket, answer, now);
        let opened = before != Trust::Open && instance.machine.trust() == Trust::Open;
        self.counts.breaker_openings += u64::from(opened);
        outcome.map_err(|reaction| format!("instance {id} ended: {reaction}"))
    }

    /// A call that took too long comes to its end; what it came to may be heard of later.
    pub(super) fn expire(&mut self, at: usize) -> Result<(), String> {
        let now = self.now;
        let instance = &mut self.instances[at];
        if let Some(pending) = instance.pending.take_if(|pending| pending.deadline <= now) {
            self.counts.timeouts += 1;
            if let Task::Write(batch) = &pending.task {
                let beyond = StorePosition { partition: batch.partition, next_offset: u64::MAX / 2, visible_offset: u64::MAX / 2, ..StorePosition::default() };
                instance.late.push((pending.ticket, Answer::Wrote(Ok(Written::Done { position: beyond, alerts: 0 }))));
            }
            let answer = instance.client.failed(&pending.task, Reaction::transient("no answer in time"));
            self.answer(at, pending.ticket, answer)?;
        }
        if self.dice.one_in(8)
            && let Some((ticket, answer)) = self.instances[at].late.pop()
        {
            self.counts.late_answers += 1;
            let mixed = self.instances[at]
                .pending
                .as_ref()
                .filter(|pending| self.flaw == Flaw::MixesAnswers && matches!(pending.task, Task::Write(_)) && matches!(answer, Answer::Wrote(Ok(Written::Done { .. }))))
                .map(|pending| pending.ticket);
            let instance = &mut self.instances[at];
            let id = instance.id;
            if mixed.is_some() {
                instance.pending = None;
            }
            instance.machine.answered(mixed.unwrap_or(ticket), answer, now).map_err(|reaction| format!("instance {id} ended by a late answer: {reaction}"))?;
        }
        Ok(())
    }
}

/// A request in a few words.
fn brief(request: &Request) -> String {
    match request {
        Request::Apply(batch) => {
            format!("write partition {} offsets {:?} to {:?}", batch.partition, batch.records.first().map(|record| record.offset), batch.records.last().map(|record| record.offset))
        }
        Request::Insert(partition, rows) => format!("insert partition {partition} seqs {:?} to {:?}", rows.first(), rows.last()),
        Request::Move { to, .. } => format!("move partition {} to seq {}", to.partition, to.next_seq),
        Request::Advance(steps) => format!("publish {:?}", steps.iter().map(|(from, to)| (to.partition, from.visible_seq, to.visible_seq)).collect::<Vec<_>>()),
        Request::Positions | Request::Greet | Request::Bind => format!("{request:?}"),
    }
}

fn brief_of(reply: &Reply) -> String {
    match reply {
        Reply::Positions(positions, _) => format!("{:?}", positions.iter().map(|position| (position.partition, position.next_seq)).collect::<Vec<_>>()),
        other => format!("{other:?}").chars().take(160).collect(),
    }
}
