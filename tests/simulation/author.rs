//! Writes what happens in a run, step by step, all of it drawn from the seed.

use std::time::Duration;

use fastrand::Rng;
use proxy_herd::driver::sim::Crash;
use proxy_herd::herd::topology::Topology;

use crate::gossip::Gossip;
use crate::plan::{Farewell, Step, style};
use crate::topologies::edges;
use crate::words::Words;

/// Writes the steps, and knows as much of what they lead to as it takes for sense.
pub(crate) struct Author<'d> {
    dice: &'d mut Rng,
    /// Of all topologies.
    edges: Vec<(usize, usize)>,
    topologies: usize,
    /// Of each server, whether it runs.
    running: Vec<bool>,
    /// Of each person, whether it may speak.
    talking: Vec<bool>,
    /// Of each guest, whether it is there.
    pretending: Vec<bool>,
    /// What somebody has just said, and somebody else says next.
    echo: Option<Words>,
    steps: Vec<(Duration, Step)>,
    passed: Duration,
}

impl<'d> Author<'d> {
    pub(crate) fn new(dice: &'d mut Rng, topologies: &[Topology]) -> Self {
        Self {
            dice,
            edges: topologies.iter().flat_map(edges).collect(),
            topologies: topologies.len(),
            running: vec![true; topologies[0].servers().len()],
            talking: Vec::new(),
            pretending: Vec::new(),
            echo: None,
            steps: Vec::new(),
            passed: Duration::ZERO,
        }
    }

    pub(crate) fn undisturbed(mut self) -> Vec<(Duration, Step)> {
        for _ in 0..self.dice.usize(3..30) {
            let pause = self.pause_of_a_person(Duration::from_secs(1));
            let step = self.of_a_person();
            self.add(pause, step);
        }
        self.steps
    }

    pub(crate) fn faulty(mut self) -> Vec<(Duration, Step)> {
        let faults = self.dice.u8(5..60);
        for _ in 0..self.dice.usize(4..50) {
            let pause = self.pause_of_a_person(Duration::from_secs(15));
            let step = if self.dice.u8(..100) < faults { self.fault() } else { self.of_a_person() };
            self.add(pause, step);
            if self.passed > LONGEST {
                break;
            }
        }
        self.steps
    }

    /// Somebody says more than may wait for a neighbour, which does not listen.
    pub(crate) fn flooded(mut self) -> Vec<(Duration, Step)> {
        let (one, other) = self.edge();
        self.add(Duration::from_secs(2), Step::Come(one));
        self.add(Duration::ZERO, Step::Come(other));
        self.talking.extend([true, true]);
        self.add(Duration::from_secs(1), Step::Stall(one, other));
        if self.dice.u8(..4) == 0 {
            self.add(Duration::ZERO, Step::StopReading(0));
        }
        let much = (0..self.dice.u16(300..420)).map(|number| Words::Long { number }).collect();
        self.add(Duration::ZERO, Step::Say(0, much));
        let pause = Duration::from_millis(self.dice.u64(500..20_000));
        let few = Words::draw_some(self.dice, 3);
        self.add(pause, Step::Say(1, few));
        if self.dice.bool() {
            self.add(Duration::ZERO, Step::Heal(one, other));
            let few = Words::draw_some(self.dice, 3);
            self.add(pause, Step::Say(0, few));
        }
        self.steps
    }

    fn add(&mut self, pause: Duration, step: Step) {
        self.passed += pause;
        self.steps.push((pause, step));
    }

    fn pause(&mut self, most: Duration) -> Duration {
        let pause = match self.dice.u8(..20) {
            0 => Duration::from_millis(self.dice.u64(1_000..16_000)),
            1..4 => Duration::from_millis(self.dice.u64(100..1_500)),
            4..9 => Duration::ZERO,
            9..12 => Duration::from_micros(self.dice.u64(..500)),
            _ => Duration::from_millis(self.dice.u64(1..60)),
        };
        pause.min(most)
    }

    /// None for what is said again elsewhere, so that it is news in both places.
    fn pause_of_a_person(&mut self, most: Duration) -> Duration {
        if self.echo.is_some() { Duration::ZERO } else { self.pause(most) }
    }

    fn of_a_person(&mut self) -> Step {
        let talking: Vec<usize> = (0..self.talking.len()).filter(|person| self.talking[*person]).collect();
        if talking.is_empty() || self.dice.u8(..6) == 0 {
            self.talking.push(true);
            return Step::Come(self.dice.usize(..self.running.len()));
        }
        let person = talking[self.dice.usize(..talking.len())];
        if let Some(words) = self.echo.take() {
            return Step::Say(person, vec![words]);
        }
        match self.dice.u8(..60) {
            0..2 => {
                self.talking[person] = false;
                Step::Vanish(person)
            }
            2..6 => {
                self.talking[person] = false;
                Step::Leave(person, self.dice.bool().then(|| Words::draw(self.dice)))
            }
            6..8 => Step::StopReading(person),
            8..10 => Step::GoOnReading(person),
            10 => {
                let most = self.dice.usize(30..300);
                Step::Say(person, Words::draw_some(self.dice, most))
            }
            20 => {
                let most = [30, 300, 3_000][self.dice.usize(..3)];
                Step::Say(person, Words::draw_many(self.dice, most))
            }
            11..20 => {
                let words = Words::draw(self.dice);
                self.echo = Some(words.clone());
                Step::Say(person, vec![words])
            }
            _ => Step::Say(person, Words::draw_some(self.dice, 4)),
        }
    }

    fn fault(&mut self) -> Step {
        let (one, other) = self.edge();
        if self.topologies > 1 && self.dice.u8(..4) == 0 {
            return Step::Reread(self.dice.usize(..self.running.len()), self.dice.usize(..self.topologies));
        }
        let server = self.dice.usize(..self.running.len());
        match self.dice.u8(..30) {
            0..4 => Step::Cut(one, other),
            4..8 => Step::Reset(one, other),
            8..11 => Step::Stall(one, other),
            11..17 => Step::Heal(one, other),
            17..23 if !self.running[server] => {
                self.running[server] = true;
                Step::Restart(server, style(self.dice))
            }
            23..25 if self.running[server] => {
                self.running[server] = false;
                Step::Stop(server)
            }
            17..20 => {
                self.running[server] = false;
                let how = if self.dice.u8(..3) == 0 { Crash::Silent } else { Crash::Killed };
                Step::Crash(server, how)
            }
            20..22 => Step::DescriptorsAgain(server),
            25..29 => self.of_a_guest(),
            _ => Step::OutOfDescriptors(server),
        }
    }

    /// Who is no server comes as one that is down, but for a few who do not care; most go soon.
    fn of_a_guest(&mut self) -> Step {
        let there: Vec<usize> = (0..self.pretending.len()).filter(|guest| self.pretending[*guest]).collect();
        if there.is_empty() || self.dice.u8(..5) == 0 {
            let edges: Vec<_> = self.edges.iter().flat_map(|(one, other)| [(*one, *other), (*other, *one)]).collect();
            let gone: Vec<_> = edges.iter().filter(|(_, absent)| !self.running[*absent]).copied().collect();
            let choice = if gone.is_empty() || self.dice.u8(..4) == 0 { edges } else { gone };
            let (server, absent) = choice[self.dice.usize(..choice.len())];
            self.pretending.push(true);
            return Step::Pretend(server, absent);
        }
        let guest = there[self.dice.usize(..there.len())];
        if self.dice.u8(..3) > 0 {
            return Step::Gossip(guest, Gossip::draw_some(self.dice, self.running.len()));
        }
        self.pretending[guest] = false;
        Step::Withdraw(guest, if self.dice.bool() { Farewell::Fin } else { Farewell::Reset })
    }

    /// Two neighbours, in either order.
    fn edge(&mut self) -> (usize, usize) {
        let (one, other) = self.edges[self.dice.usize(..self.edges.len())];
        if self.dice.bool() { (one, other) } else { (other, one) }
    }
}

/// When no more faults begin: a client that does not read, and one that says nothing, are dropped later than that.
const LONGEST: Duration = Duration::from_secs(40);
