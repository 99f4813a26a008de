//! Plays a plan to a herd of real servers on a simulated network. What must hold, and when, it asks `verdict`.

use std::any::Any;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use proxy_herd::driver::Sim;
use proxy_herd::driver::sim::{ClientId, Crash, HostId};
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::timestamp::Timestamp;
use proxy_herd::herd::topology::{self, Server, Url};
use proxy_herd::places::key::Key;
use proxy_herd::server::{Provider, Servers, Style};

use crate::gossip::Gossip;
use crate::keys;
use crate::knowledge::Knowledge;
use crate::people::{Person, Stage};
use crate::places;
use crate::plan::{Farewell, Kind, Places, Plan, Step};
use crate::story::Story;
use crate::topologies::edges;
use crate::traffic::Traffic;
use crate::violation::{Promise, Violation};
use crate::words::Words;

/// Plays it, as fast as can be.
pub(crate) fn play(plan: &Plan) -> Result<Outcome, Violation> {
    let mut herd = Herd::new(plan, None);
    herd.run()
}

/// Plays it, and tells what happens.
pub(crate) fn tell(plan: &Plan) -> (Result<Outcome, Violation>, String) {
    let mut herd = Herd::new(plan, Some(Story::begin));
    let result = herd.run();
    (result, herd.story.take().expect("it was begun").into_text())
}

/// What was seen of a run in which every promise was kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// When, after all was well again, all links were up and all servers knew the same, and went on so: not later than this, and
    /// about a tenth earlier at the most. `None` if nothing was wrong before, or if clocks disagree on what is over.
    pub(crate) in_step_after: Option<Duration>,
}

/// A run, under way.
pub(crate) struct Herd<'p> {
    pub(crate) plan: &'p Plan,
    pub(crate) sim: Sim<Servers>,
    pub(crate) hosts: Vec<HostId>,
    provider: Provider,
    /// How often each server was started again.
    pub(crate) boots: Vec<u32>,
    /// Which topology each server reads.
    views: Vec<usize>,
    /// Where each server listens for its neighbours.
    doors: Vec<SocketAddr>,
    pub(crate) people: Vec<Person>,
    guests: Vec<Guest>,
    pub(crate) knowledge: Knowledge,
    traffic: Rc<RefCell<Traffic>>,
    story: Option<Story>,
}

impl<'p> Herd<'p> {
    fn new(plan: &'p Plan, begin: Option<fn(std::time::Instant) -> Story>) -> Self {
        let mut sim = Sim::new(plan.seed, plan.weather.clone());
        if begin.is_none() {
            sim = sim.without_trace();
        }
        let story = begin.map(|begin| begin(sim.now()));
        let provider = provider(plan.places);
        let mut hosts = Vec::new();
        for (place, (style, ahead)) in plan.servers.iter().enumerate() {
            let host = sim
                .add_host(plan.topology().servers()[place].name.as_str(), server(plan, (place, 0), &provider, *style));
            let skew = Duration::from_millis(ahead.unsigned_abs());
            let clock = sim.wall_clock(host);
            sim.set_wall_clock(host, if *ahead < 0 { clock - skew } else { clock + skew });
            hosts.push(host);
        }
        if plan.places == Places::Moody {
            let nobody = Servers::new(plan.topology(), &[], provider.clone(), 0);
            let host = sim.add_host("Places", nobody);
            sim.enter(host, |event_loop, _| places::listen(event_loop, PLACES.into()));
        }
        let traffic = Rc::new(RefCell::new(Traffic::new(plan, &hosts)));
        let watcher = Rc::clone(&traffic);
        sim.watch(move |sent| watcher.borrow_mut().saw(sent));
        let count = hosts.len();
        Self {
            plan,
            sim,
            hosts,
            provider,
            boots: vec![0; count],
            views: vec![0; count],
            doors: plan.topology().servers().iter().map(|server| server.peers).collect(),
            people: Vec::new(),
            guests: Vec::new(),
            knowledge: Knowledge::new(count),
            traffic,
            story,
        }
    }

    /// From the start of all servers to their last word. What panics has broken a promise, too.
    fn run(&mut self) -> Result<Outcome, Violation> {
        catch_unwind(AssertUnwindSafe(|| self.go()))
            .unwrap_or_else(|panic| Err(Violation::new(Promise::NoPanic, words_of(&*panic))))
    }

    fn go(&mut self) -> Result<Outcome, Violation> {
        for server in 0..self.hosts.len() {
            self.start(server);
        }
        if self.plan.kind == Kind::Undisturbed {
            self.settle()?;
        }
        for (pause, step) in &self.plan.steps {
            self.pass(*pause)?;
            self.perform(step);
            self.look()?;
        }
        self.mend();
        let in_step_after = self.rest()?;
        self.check_servers()?;
        self.check_people()?;
        self.part()?;
        let counts = self.plan.kind != Kind::Undisturbed && self.plan.topology().limits().client_ttl.is_none();
        Ok(Outcome { in_step_after: counts.then_some(in_step_after) })
    }

    /// Quiet. When the herd was in step for good: the times at which one looks grow by a tenth each.
    fn rest(&mut self) -> Result<Duration, Violation> {
        let (mut passed, mut in_step_after) = (Duration::ZERO, None);
        let quiet = self.plan.quiet;
        for look in 1.. {
            let next = (passed + passed / 10).max(passed + Duration::from_millis(1)).min(quiet);
            self.pass(next - passed)?;
            passed = next;
            in_step_after = if self.is_in_step() { in_step_after.or(Some(passed)) } else { None };
            if look % 10 == 0 {
                self.look()?;
            }
            if passed == quiet {
                break;
            }
        }
        self.look()?;
        Ok(in_step_after.unwrap_or(quiet))
    }

    pub(crate) fn servers(&self) -> &'p [Server] {
        self.plan.topology().servers()
    }

    pub(crate) fn name(&self, server: usize) -> &'p ServerName {
        &self.servers()[server].name
    }

    fn start(&mut self, server: usize) {
        let traffic = Rc::clone(&self.traffic);
        self.sim.enter(self.hosts[server], |event_loop, servers| {
            event_loop.set_exception_handler(move |_, _, panicked| traffic.borrow_mut().panicked(panicked.to_string()));
            servers.start(event_loop);
        });
    }

    /// Lets time pass, until it is over or a promise is broken.
    pub(crate) fn pass(&mut self, time: Duration) -> Result<(), Violation> {
        let Self { sim, traffic, story, .. } = self;
        sim.run_until(time, |sim| {
            if let Some(story) = story {
                story.go_on(sim);
            }
            traffic.borrow().violation.is_some()
        });
        self.traffic.borrow_mut().violation.take().map_or(Ok(()), Err)
    }

    /// Until all links are up, and what they bring is over.
    fn settle(&mut self) -> Result<(), Violation> {
        for _ in 0..20 {
            self.pass(Duration::from_millis(500))?;
            if self.check_links().is_ok() {
                break;
            }
        }
        self.check_links()?;
        self.pass(Duration::from_secs(2))?;
        self.traffic.borrow_mut().settled();
        Ok(())
    }

    fn perform(&mut self, step: &Step) {
        if let Some(story) = &mut self.story {
            story.tell(self.sim.now(), step);
        }
        let host = |server: &usize| self.hosts[*server];
        match step {
            Step::Come(server) => self.come(*server),
            Step::Say(person, words) => self.say(*person, words),
            Step::Leave(person, words) => self.leave(*person, words.as_ref()),
            Step::Vanish(person) => {
                let person = &mut self.people[*person];
                person.stage = Stage::Vanished;
                self.sim.reset(person.id);
            }
            Step::StopReading(person) => self.sim.stop_reading(self.people[*person].id),
            Step::GoOnReading(person) => self.sim.go_on_reading(self.people[*person].id),
            Step::Cut(one, other) => self.sim.cut(host(one), host(other)),
            Step::Reset(one, other) => {
                let (one, other) = (host(one), host(other));
                self.sim.cut(one, other);
                self.sim.heal(one, other);
            }
            Step::Stall(one, other) => self.sim.stall(host(one), host(other)),
            Step::Heal(one, other) => self.sim.heal(host(one), host(other)),
            Step::Crash(server, how) => self.sim.crash(host(server), *how),
            Step::Stop(server) => self.sim.enter(host(server), |event_loop, servers| servers.drain(event_loop)),
            Step::Restart(server, style) => self.restart(*server, *style),
            Step::OutOfDescriptors(server) => self.sim.out_of_descriptors(host(server)),
            Step::DescriptorsAgain(server) => self.sim.descriptors_again(host(server)),
            Step::Reread(server, topology) => self.reread(*server, *topology),
            Step::Pretend(server, absent) => self.pretend(*server, *absent),
            Step::Gossip(guest, lines) => self.gossip(*guest, lines),
            Step::Withdraw(guest, how) => {
                self.guests[*guest].farewell = Some(*how);
                match how {
                    Farewell::Fin => self.sim.half_close(self.guests[*guest].id),
                    Farewell::Reset => self.sim.reset(self.guests[*guest].id),
                }
            }
        }
    }

    fn come(&mut self, server: usize) {
        let id = self.sim.connect(self.servers()[server].clients);
        let boot = self.sim.is_running(self.hosts[server]).then(|| self.boots[server]);
        let since = Timestamp::from(self.sim.wall_clock(self.hosts[server]));
        self.people.push(Person { id, server, boot, since, said: Vec::new(), stage: Stage::Talking });
    }

    fn say(&mut self, number: usize, words: &[Words]) {
        let person = &mut self.people[number];
        let mut text = Vec::new();
        for words in words {
            self.knowledge.told(self.plan.topology().servers()[person.server].name.as_str(), words);
            text.extend(words.line());
            text.push(b'\n');
        }
        person.said.extend_from_slice(words);
        self.sim.send(person.id, &text);
    }

    fn leave(&mut self, number: usize, words: Option<&Words>) {
        let person = &mut self.people[number];
        person.stage = Stage::Left;
        if let Some(words) = words {
            self.knowledge.told(self.plan.topology().servers()[person.server].name.as_str(), words);
            person.said.push(words.clone());
            self.sim.send(person.id, &words.line());
        }
        self.sim.half_close(person.id);
    }

    /// Starts it again; if it is still about to stop, that is over.
    fn restart(&mut self, server: usize, style: Style) {
        if self.sim.is_running(self.hosts[server]) {
            self.sim.crash(self.hosts[server], Crash::Killed);
        }
        self.boots[server] += 1;
        self.knowledge.restarted(server);
        self.traffic.borrow_mut().restarted(server);
        let view = self.views[server];
        self.doors[server] = self.plan.topologies[view].servers()[server].peers;
        let state = self::server(self.plan, (server, view), &self.provider, style);
        self.sim.restart(self.hosts[server], state);
        self.start(server);
    }

    /// Takes over who its neighbours are and where; and its keys again, which are the same.
    fn reread(&mut self, server: usize, view: usize) {
        self.views[server] = view;
        let (plan, host) = (self.plan, self.hosts[server]);
        if self.sim.is_running(host) {
            let keys = plan.is_encrypted().then(|| keys::of(self.name(server))).into_iter().collect();
            self.sim.enter(host, |event_loop, servers| {
                servers.set_topology(event_loop, &plan.topologies[view], keys);
            });
        }
    }

    fn pretend(&mut self, server: usize, absent: usize) {
        let id = self.sim.connect(self.doors[server]);
        let hello = format!("HERD 1 {} {} 0\n", self.plan.topology().herd(), self.name(absent));
        self.sim.send(id, hello.as_bytes());
        self.traffic.borrow_mut().received(id);
        self.guests.push(Guest { id, farewell: None });
    }

    /// Where links are plain, whatever a guest says may be believed.
    fn gossip(&mut self, guest: usize, lines: &[Gossip]) {
        let names: Vec<&str> = self.servers().iter().map(|server| server.name.as_str()).collect();
        let id = self.guests[guest].id;
        for gossip in lines {
            if let Gossip::Report { origin, words, .. } = gossip
                && !self.plan.is_encrypted()
            {
                self.knowledge.told(names[*origin], words);
            }
            let line = gossip.line(&names, self.sim.received(id));
            self.sim.send(id, &line);
        }
    }

    /// All is well again.
    fn mend(&mut self) {
        if let Some(story) = &mut self.story {
            story.tell(self.sim.now(), "all is well again");
        }
        for host in &self.hosts {
            self.sim.descriptors_again(*host);
        }
        for (one, other) in self.plan.topologies.iter().flat_map(edges) {
            self.sim.heal(self.hosts[one], self.hosts[other]);
        }
        for guest in self.guests.iter().filter(|guest| guest.farewell != Some(Farewell::Reset)) {
            self.sim.reset(guest.id);
        }
        for server in 0..self.hosts.len() {
            if self.views[server] != 0 {
                self.reread(server, 0);
            }
            let host = self.hosts[server];
            let is_up = self.sim.is_running(host) && !self.sim.state(host).is_draining();
            if !is_up || self.doors[server] != self.servers()[server].peers {
                self.restart(server, self.plan.servers[server].0);
            }
        }
        for person in &self.people {
            self.sim.go_on_reading(person.id);
        }
    }
}

/// Somebody who says that it is a server.
struct Guest {
    id: ClientId,
    farewell: Option<Farewell>,
}

/// A server that reads one of the topologies, both by number.
fn server(plan: &Plan, (place, view): (usize, usize), provider: &Provider, style: Style) -> Servers {
    let topology = &plan.topologies[view];
    let name = &topology.servers()[place].name;
    let seed = plan.seed ^ place as u64;
    let servers = Servers::new(topology, std::slice::from_ref(name), provider.clone(), seed).with_style(style);
    if plan.is_encrypted() { servers.with_keys([keys::of(name)]) } else { servers }
}

fn provider(places: Places) -> Provider {
    match places {
        Places::Embedded => Provider::embedded().expect("the system has random numbers"),
        Places::Moody => {
            let ([a, b, c, d], port) = PLACES;
            let url = Url::parse(&format!("http://{a}.{b}.{c}.{d}:{port}")).expect("a URL");
            Provider::google(
                &topology::Places { url: Some(url), ..topology::Places::default() },
                Key::new("canary").expect("a key"),
            )
            .expect("no TLS is needed")
        }
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}

/// Where a moody Places listens.
const PLACES: ([u8; 4], u16) = ([127, 0, 0, 1], 9_999);
