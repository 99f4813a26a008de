//! Plays a plan to a herd of real servers on a simulated network, and says which promise was broken, if one was.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use proxy_herd::driver::Sim;
use proxy_herd::driver::sim::{Crash, Ending, HostId};
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::topology::{Server, Url};
use proxy_herd::places::question::Key;
use proxy_herd::server::{Provider, Servers, Style};

use crate::knowledge::{Knowledge, Known, agree};
use crate::people::{Answers, Person, Stage};
use crate::places;
use crate::plan::{Kind, Places, Plan, Step};
use crate::story::Story;
use crate::traffic::Traffic;
use crate::violation::{Promise, Violation};
use crate::words::Words;

/// Plays it, as fast as can be.
pub(crate) fn play(plan: &Plan) -> Result<(), Violation> {
    let mut herd = Herd::new(plan, None);
    herd.run()
}

/// Plays it, and tells what happens.
pub(crate) fn tell(plan: &Plan) -> (Result<(), Violation>, String) {
    let mut herd = Herd::new(plan, Some(Story::begin));
    let result = herd.run();
    (result, herd.story.take().expect("it was begun").into_text())
}

struct Herd<'p> {
    plan: &'p Plan,
    sim: Sim<Servers>,
    hosts: Vec<HostId>,
    provider: Provider,
    /// How often each server was started again.
    boots: Vec<u32>,
    people: Vec<Person>,
    knowledge: Knowledge,
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
            let host =
                sim.add_host(plan.topology.servers()[place].name.as_str(), server(plan, place, &provider, *style));
            let skew = Duration::from_millis(ahead.unsigned_abs());
            let clock = sim.wall_clock(host);
            sim.set_wall_clock(host, if *ahead < 0 { clock - skew } else { clock + skew });
            hosts.push(host);
        }
        if plan.places == Places::Moody {
            let nobody = Servers::new(&plan.topology, &[], provider.clone(), 0);
            let host = sim.add_host("Places", nobody);
            sim.enter(host, |event_loop, _| places::listen(event_loop, PLACES.into()));
        }
        let traffic = Rc::new(RefCell::new(Traffic::new(&plan.topology, &hosts)));
        let watcher = Rc::clone(&traffic);
        sim.watch(move |sent| watcher.borrow_mut().saw(sent));
        let count = hosts.len();
        Self {
            plan,
            sim,
            hosts,
            provider,
            boots: vec![0; count],
            people: Vec::new(),
            knowledge: Knowledge::new(count),
            traffic,
            story,
        }
    }

    /// From the start of all servers to their last word. What panics has broken a promise, too.
    fn run(&mut self) -> Result<(), Violation> {
        catch_unwind(AssertUnwindSafe(|| self.go()))
            .unwrap_or_else(|panic| Err(Violation::new(Promise::NoPanic, words_of(&*panic))))
    }

    fn go(&mut self) -> Result<(), Violation> {
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
        let quiet = self.plan.quiet;
        for _ in 0..10 {
            self.pass(quiet / 10)?;
            self.look()?;
        }
        self.check_servers()?;
        self.check_people()?;
        self.part()
    }

    fn servers(&self) -> &'p [Server] {
        self.plan.topology.servers()
    }

    fn name(&self, server: usize) -> &'p ServerName {
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
    fn pass(&mut self, time: Duration) -> Result<(), Violation> {
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
        }
    }

    fn come(&mut self, server: usize) {
        let id = self.sim.connect(self.servers()[server].clients);
        let boot = self.sim.is_running(self.hosts[server]).then(|| self.boots[server]);
        self.people.push(Person { id, server, boot, said: Vec::new(), stage: Stage::Talking });
    }

    fn say(&mut self, number: usize, words: &[Words]) {
        let person = &mut self.people[number];
        let mut text = Vec::new();
        for words in words {
            self.knowledge.told(self.plan.topology.servers()[person.server].name.as_str(), words);
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
            self.knowledge.told(self.plan.topology.servers()[person.server].name.as_str(), words);
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
        let state = self::server(self.plan, server, &self.provider, style);
        self.sim.restart(self.hosts[server], state);
        self.start(server);
    }

    /// All is well again.
    fn mend(&mut self) {
        if let Some(story) = &mut self.story {
            story.tell(self.sim.now(), "all is well again");
        }
        for host in &self.hosts {
            self.sim.descriptors_again(*host);
        }
        for [one, other] in self.plan.topology.links() {
            let [one, other] = [one, other].map(|end| {
                let place = self.servers().iter().position(|server| server.name == end.name);
                self.hosts[place.expect("a link is between servers")]
            });
            self.sim.heal(one, other);
        }
        for server in 0..self.hosts.len() {
            let host = self.hosts[server];
            if !self.sim.is_running(host) || self.sim.state(host).is_draining() {
                self.restart(server, self.plan.servers[server].0);
            }
        }
        for person in &self.people {
            self.sim.go_on_reading(person.id);
        }
    }

    /// Whether what servers know has only grown.
    fn look(&mut self) -> Result<(), Violation> {
        for (place, (host, server)) in self.hosts.iter().zip(self.plan.topology.servers()).enumerate() {
            if self.sim.is_running(*host) {
                let node = self.sim.state(*host).node(&server.name).expect("the process runs it");
                let known =
                    Known { directory: node.directory(), most_clients: self.plan.topology.limits().max_clients };
                self.knowledge.look(place, server.name.as_str(), known)?;
            }
        }
        Ok(())
    }

    /// Whether all links are up.
    fn check_links(&self) -> Result<(), Violation> {
        for (host, server) in self.hosts.iter().zip(self.servers()) {
            let up = self.sim.state(*host).links_up(&server.name).expect("the process runs it");
            let all = self.plan.topology.neighbours(&server.name).count();
            Violation::unless(up == all, Promise::LinksUp, || format!("{} has {up} of {all} links", server.name))?;
        }
        Ok(())
    }

    fn check_servers(&self) -> Result<(), Violation> {
        self.check_links()?;
        let servers = self.hosts.iter().zip(self.servers());
        let known: Vec<_> = servers
            .map(|(host, server)| {
                let node = self.sim.state(*host).node(&server.name).expect("the process runs it");
                (server.name.as_str(), node.directory())
            })
            .collect();
        for (name, directory) in &known {
            self.knowledge.look_through(name, directory)?;
        }
        agree(&known)
    }

    fn check_people(&self) -> Result<(), Violation> {
        for (number, person) in self.people.iter().enumerate() {
            self.check_person(person).map_err(|Violation { promise, how }| {
                Violation::new(promise, format!("person {number} at {}: {how}", self.name(person.server)))
            })?;
        }
        Ok(())
    }

    fn check_person(&self, person: &Person) -> Result<(), Violation> {
        let heard = self.sim.received(person.id);
        let name = self.name(person.server);
        let answers =
            Answers::read(name.as_str(), &person.said, heard).map_err(|how| Violation::new(Promise::Answers, how))?;
        if person.boot != Some(self.boots[person.server]) {
            // Its server was down, or has crashed since.
            return Ok(());
        }
        let ending = self.sim.ending(person.id);
        let expected = match person.stage {
            Stage::Talking => None,
            Stage::Left => Some(Ending::Fin),
            Stage::Vanished => ending,
        };
        Violation::unless(ending == expected, Promise::NoEndWithoutReason, || {
            format!("its connection's end is {ending:?}, not {expected:?}")
        })?;
        let missing = answers.missing;
        Violation::unless(missing == 0 || person.stage == Stage::Vanished, Promise::Answers, || {
            format!("{missing} of {} commands are not answered", person.said.len())
        })?;
        let node = self.sim.state(self.hosts[person.server]).node(name).expect("the process runs it");
        let known = Known { directory: node.directory(), most_clients: self.plan.topology.limits().max_clients };
        for report in answers.confirmed {
            Violation::unless(known.covers(&report), Promise::NothingForgotten, || {
                format!("{} was confirmed, but is not known", report.line().escape_ascii())
            })?;
        }
        Ok(())
    }

    /// Everybody leaves; then nobody must be there.
    fn part(&mut self) -> Result<(), Violation> {
        for person in &self.people {
            self.sim.reset(person.id);
        }
        self.pass(Duration::from_secs(2))?;
        for (host, server) in self.hosts.iter().zip(self.servers()) {
            let servers = self.sim.state(*host);
            let counts = [servers.clients(&server.name), servers.strangers(&server.name)];
            Violation::unless(counts == [Some(0), Some(0)], Promise::CountedOnce, || {
                format!("{} counts {counts:?} clients and strangers, but there are none", server.name)
            })?;
        }
        self.check_links()
    }
}

fn server(plan: &Plan, place: usize, provider: &Provider, style: Style) -> Servers {
    let names = std::slice::from_ref(&plan.topology.servers()[place].name);
    Servers::new(&plan.topology, names, provider.clone(), plan.seed ^ place as u64).with_style(style)
}

fn provider(places: Places) -> Provider {
    match places {
        Places::Embedded => Provider::embedded().expect("the system has random numbers"),
        Places::Moody => {
            let ([a, b, c, d], port) = PLACES;
            let url = Url::parse(&format!("http://{a}.{b}.{c}.{d}:{port}")).expect("a URL");
            Provider::google(url, Key::new("canary").expect("a key"), None).expect("no TLS is needed")
        }
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}

/// Where a moody Places listens.
const PLACES: ([u8; 4], u16) = ([127, 0, 0, 1], 9_999);
