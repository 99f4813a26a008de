//! Protocols and listeners that roll dice, and the books that say whether what they are told fits what they were told before.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use proxy_herd::event_loop::{
    Address, AfterEof, ConnId, Listen, ListenerId, Loop, Lost, Protocol, ProtocolFactory, Security, ServerSecurity,
    Transport,
};

use crate::certificates::Authority;
use crate::company::Company;

/// Whom certificates are for.
pub(crate) const NAME: &str = "goloman.example";

/// What an application of chaos knows.
pub(crate) struct Chaos {
    dice: fastrand::Rng,
    authority: Rc<Authority>,
    /// Where somebody may listen.
    doors: Vec<Address>,
    pub(crate) mood: Mood,
    /// Those that are not lost.
    pub(crate) connections: BTreeMap<ConnId, Seen>,
    /// Those that are.
    pub(crate) gone: BTreeSet<ConnId>,
    /// How many were begun, by us or by others.
    pub(crate) begun: usize,
    /// How far each listener is, by the number of its door.
    pub(crate) listeners: BTreeMap<u32, Entrance>,
    /// Those that the test has opened.
    pub(crate) open: Vec<ListenerId>,
    /// Those that protocols have begun.
    pub(crate) others: Vec<ListenerId>,
    pub(crate) violations: Vec<String>,
    /// What anybody was called with.
    pub(crate) calls: BTreeSet<On>,
    /// How many of a hundred are spared that would end.
    pub(crate) mercy: u8,
    /// How much may still be begun.
    pub(crate) energy: usize,
    /// How many strangers have done what they wanted.
    pub(crate) finished: usize,
    /// How many jobs are not done.
    pub(crate) jobs: usize,
    /// Tasks on the same loop.
    pub(crate) company: Option<Company<Self>>,
}

/// Whether protocols do anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mood {
    Wild,
    /// They let everything be as it is.
    Calm,
    /// Who is made or whose peer has ended, closes.
    Leaving,
}

/// What a connection was told so far, and has done.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Seen {
    pub(crate) stage: Stage,
    write_paused: bool,
    /// Its own wish, as the next two are its own doing.
    pub(crate) read_paused: bool,
    /// We have ended our half.
    pub(crate) finished: bool,
    /// We have connected it.
    pub(crate) ours: bool,
}

/// How far a connection is that is not lost.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Stage {
    #[default]
    Begun,
    Open,
    Upgrading,
    Ended,
}

/// How far a listener is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entrance {
    Begun,
    Open,
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum On {
    Made,
    Data,
    Eof,
    Paused,
    Resumed,
    TimedOut,
    Woken,
    TlsStarted,
}

impl Chaos {
    pub(crate) fn new(seed: u64, authority: &Rc<Authority>, doors: Vec<Address>) -> Self {
        Self {
            dice: fastrand::Rng::with_seed(seed),
            authority: Rc::clone(authority),
            doors,
            mood: Mood::Wild,
            connections: BTreeMap::new(),
            gone: BTreeSet::new(),
            begun: 0,
            listeners: BTreeMap::new(),
            open: Vec::new(),
            others: Vec::new(),
            violations: Vec::new(),
            calls: BTreeSet::new(),
            mercy: 0,
            energy: 60,
            finished: 0,
            jobs: 0,
            company: None,
        }
    }

    fn check(&mut self, id: ConnId, on: On) {
        self.calls.insert(on);
        if self.gone.contains(&id) {
            self.violations.push(format!("{id:?} {on:?} after it was lost"));
        }
        let seen = self.connections.entry(id).or_default();
        let before = *seen;
        let fits = match (on, before.stage) {
            (On::Made, Stage::Begun) | (On::TlsStarted, Stage::Upgrading) => true,
            (On::Data | On::Eof, Stage::Open) => !before.read_paused,
            (On::Paused, Stage::Open | Stage::Ended) => !before.write_paused,
            (On::Resumed, Stage::Open | Stage::Ended) => before.write_paused,
            (On::TimedOut, Stage::Open | Stage::Ended) => true,
            (On::Woken, Stage::Open | Stage::Ended | Stage::Upgrading) => true,
            _ => false,
        };
        match on {
            On::Made | On::TlsStarted => seen.stage = Stage::Open,
            On::Eof => seen.stage = Stage::Ended,
            On::Paused | On::Resumed => seen.write_paused = on == On::Paused,
            On::Data | On::TimedOut | On::Woken => {}
        }
        if !fits {
            self.violations.push(format!("{id:?} {on:?} after {before:?}"));
        }
    }

    /// Does anything to anybody.
    pub(crate) fn act(&mut self, event_loop: &mut Loop<'_, Self>, this: Option<ConnId>) {
        if self.mood != Mood::Wild {
            return;
        }
        if let Some(company) = &self.company {
            company.stir();
        }
        for _ in 0..self.dice.usize(0..4) {
            let living: Vec<ConnId> = self.connections.keys().copied().collect();
            let other = self.dice.choice(living);
            let id = if self.dice.u8(0..4) == 0 { other } else { this.or(other) };
            if let Some(mut transport) = id.and_then(|id| event_loop.transport(id)) {
                self.do_to(&mut transport);
            }
        }
        if self.energy > 0 && self.dice.u8(0..4) == 0 {
            self.energy -= 1;
            self.begin(event_loop);
        }
        if this.is_some() && self.dice.u8(0..60) == 0 && !self.is_spared() {
            resume_unwind(Box::new("chaos"));
        }
    }

    /// Whether somebody who would end now may live on. (Without mercy all end early, and nobody is ever paused for long.)
    fn is_spared(&mut self) -> bool {
        self.dice.u8(0..100) < self.mercy
    }

    fn do_to(&mut self, transport: &mut Transport<'_, Self>) {
        let id = transport.id();
        let closing = transport.is_closing();
        let what = self.dice.u8(0..60);
        if what < 5 && self.is_spared() {
            return;
        }
        let seen = self.connections.entry(id).or_default();
        match what {
            0 => transport.close(),
            1 => transport.abort(),
            2 => transport.reset(),
            3 => transport.close_slowly(Duration::from_millis(20)),
            4 => transport.fail(io::Error::other("chaos")),
            5 => {
                transport.write_eof();
                seen.finished = true;
            }
            6..=8 => {
                transport.pause_reading();
                seen.read_paused |= !closing;
            }
            9..=14 => {
                transport.resume_reading();
                seen.read_paused = false;
            }
            15..=18 => transport.set_protocol(Chaotic),
            19..=24 => transport.event_loop().wake(id),
            25..=27 => transport.set_timeout(Some(Duration::from_millis(self.dice.u64(0..5)))),
            28 => transport.set_write_buffer_cap(200_000),
            29..=31 => {
                let high = self.dice.usize(0..2) * 1000;
                transport.set_write_buffer_limits(high, high / 2);
            }
            32 | 33 => self.start_tls(transport),
            34 => transport.set_close_timeout(Duration::from_millis(10)),
            35 => {
                if let Some(listener) = transport.listener() {
                    let mut event_loop = transport.event_loop();
                    match self.dice.u8(0..20) {
                        0 => event_loop.close_listener(listener),
                        1 => event_loop.shut_down(listener, Duration::from_millis(self.dice.u64(0..20))),
                        2 => event_loop.close_clients(listener),
                        3 => event_loop.abort_clients(listener),
                        _ => {}
                    }
                }
            }
            36 => transport.write(&vec![7; 70_000]),
            37 => transport.write(&vec![7; 300_000]),
            _ => transport.write(&vec![7; self.dice.usize(0..500)]),
        }
    }

    /// Begins as few would by chance.
    fn receive(&mut self, transport: &mut Transport<'_, Self>) {
        if self.dice.u8(0..20) == 0 {
            self.start_tls(transport);
        } else if self.is_spared() {
            match self.dice.u8(0..10) {
                0 => transport.write(&vec![7; 2_000_000]),
                1 => {
                    transport.pause_reading();
                    self.connections.entry(transport.id()).or_default().read_paused = true;
                }
                _ => {}
            }
        }
    }

    /// Whoever has paused reading goes on.
    pub(crate) fn resume_all(&mut self, event_loop: &mut Loop<'_, Self>) {
        for (id, seen) in &mut self.connections {
            if let Some(mut transport) = event_loop.transport(*id) {
                transport.resume_reading();
                seen.read_paused = false;
            }
        }
    }

    fn start_tls(&mut self, transport: &mut Transport<'_, Self>) {
        let plain = transport.tls_info().is_none();
        let [server, client] = self.authority.ends(NAME);
        let start = if self.dice.bool() { client } else { server };
        let leftover: &[u8] = if self.dice.u8(0..4) == 0 { b"garbage" } else { &[] };
        transport.start_tls(start, leftover);
        let seen = self.connections.entry(transport.id()).or_default();
        if plain && seen.stage == Stage::Open && transport.tls_info().is_some() {
            seen.stage = Stage::Upgrading;
        }
    }

    pub(crate) fn begin(&mut self, event_loop: &mut Loop<'_, Self>) {
        match self.dice.u8(0..12) {
            0 => {
                let security = if self.dice.bool() { ServerSecurity::Plain } else { self.authority.server(NAME) };
                let address = if self.dice.bool() { self.doors[0].clone() } else { address(0).into() };
                let listen = Listen::on(address).security(security).max_connections(self.dice.usize(1..5));
                let key = self.dice.u32(..);
                self.listeners.insert(key, Entrance::Begun);
                let listener = event_loop.listen_with(listen, Door(key));
                self.others.push(listener);
                if self.dice.u8(0..4) == 0 {
                    event_loop.close_listener(listener);
                }
            }
            1 => {
                event_loop.call_soon(|event_loop, chaos: &mut Self| chaos.act(event_loop, None));
            }
            2 => {
                self.jobs += 1;
                event_loop.run_in_executor(thread::yield_now, |event_loop, chaos: &mut Self, _| {
                    chaos.jobs -= 1;
                    chaos.act(event_loop, None);
                });
            }
            kind => {
                let security = if self.dice.bool() {
                    Security::Plain
                } else {
                    self.authority.client(if kind == 3 { "wrong.example" } else { NAME })
                };
                let door = self.dice.choice(&self.doors).expect("there are doors").clone();
                let id = event_loop.connect(door, security, Chaotic);
                self.connections.insert(id, Seen { ours: true, ..Seen::default() });
                self.begun += 1;
            }
        }
    }
}

pub(crate) fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

pub(crate) struct Chaotic;

impl Chaotic {
    fn on(on: On, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        if transport.is_closing() {
            chaos.violations.push(format!("{:?} {on:?} while closing", transport.id()));
        }
        chaos.check(transport.id(), on);
        let id = transport.id();
        if chaos.mood == Mood::Wild && on == On::Made {
            chaos.receive(transport);
        }
        chaos.act(&mut transport.event_loop(), Some(id));
        if chaos.mood == Mood::Leaving && on == On::Made {
            transport.close();
        }
    }
}

impl Protocol<Chaos> for Chaotic {
    fn connection_made(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::Made, transport, chaos);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos, data: &[u8]) {
        if data.is_empty() || data.iter().any(|byte| *byte != 7) && transport.tls_info().is_some() {
            chaos.violations.push("strange data".to_owned());
        }
        Self::on(On::Data, transport, chaos);
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) -> AfterEof {
        Self::on(On::Eof, transport, chaos);
        if chaos.mood == Mood::Leaving || chaos.dice.bool() { AfterEof::Close } else { AfterEof::KeepOpen }
    }

    fn pause_writing(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::Paused, transport, chaos);
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::Resumed, transport, chaos);
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::TimedOut, transport, chaos);
    }

    fn woken(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::Woken, transport, chaos);
    }

    fn tls_started(&mut self, transport: &mut Transport<'_, Chaos>, chaos: &mut Chaos) {
        Self::on(On::TlsStarted, transport, chaos);
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos, lost: Lost) {
        chaos.connections.remove(&lost.id);
        if !chaos.gone.insert(lost.id) {
            chaos.violations.push(format!("{:?} lost twice", lost.id));
        }
        chaos.act(event_loop, Some(lost.id));
    }
}

/// A listener's factory, with its number in [`Chaos::listeners`].
pub(crate) struct Door(pub(crate) u32);

impl Door {
    fn on(&self, chaos: &mut Chaos, from: &[Entrance], to: Entrance) {
        let before = chaos.listeners.insert(self.0, to).expect("it was noted before");
        if !from.contains(&before) {
            chaos.violations.push(format!("listener {to:?} after {before:?}"));
        }
    }
}

impl ProtocolFactory<Chaos> for Door {
    fn protocol(&mut self, chaos: &mut Chaos) -> Box<dyn Protocol<Chaos>> {
        self.on(chaos, &[Entrance::Open], Entrance::Open);
        if chaos.dice.u8(0..20) == 0 {
            resume_unwind(Box::new("chaos at the door"));
        }
        chaos.begun += 1;
        Box::new(Chaotic)
    }

    fn listening(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos, _: &Address) {
        self.on(chaos, &[Entrance::Begun], Entrance::Open);
        chaos.act(event_loop, None);
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos, _: io::Error) {
        self.on(chaos, &[Entrance::Begun], Entrance::Gone);
        chaos.act(event_loop, None);
    }

    fn handshake_failed(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos, _: &Lost) {
        self.on(chaos, &[Entrance::Open], Entrance::Open);
        chaos.act(event_loop, None);
    }

    fn closed(&mut self, event_loop: &mut Loop<'_, Chaos>, chaos: &mut Chaos) {
        self.on(chaos, &[Entrance::Begun, Entrance::Open], Entrance::Gone);
        chaos.act(event_loop, None);
    }
}
