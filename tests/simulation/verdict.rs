//! Whether a run has kept its promises: what is looked at while it goes on, and in the end.

use std::time::Duration;

use proxy_herd::driver::Sim;
use proxy_herd::driver::sim::{Ending, HostId};
use proxy_herd::herd::timestamp::Timestamp;
use proxy_herd::server::Servers;
use proxy_herd::server::limits::STANDIN_IDLE_TIME;

use crate::herd::Herd;
use crate::knowledge::{Known, agree};
use crate::people::{Answers, Person, Stage};
use crate::plan::Plan;
use crate::violation::{Promise, Violation};

impl<'p> Herd<'p> {
    /// Whether what servers know has only grown, but for what is over.
    pub(crate) fn look(&mut self) -> Result<(), Violation> {
        for (place, server) in self.plan.topology().servers().iter().enumerate() {
            if self.sim.is_running(self.hosts[place]) {
                let known = known(&self.sim, self.plan, (place, self.hosts[place]));
                self.knowledge.look(place, server.name.as_str(), known)?;
            }
        }
        Ok(())
    }

    /// Whether all links are up, and all know the same: by their digests, which count what is over, too.
    pub(crate) fn is_in_step(&self) -> bool {
        let mut digests = self.known().into_iter().map(|(_, known)| known.directory.digest());
        let first = digests.next();
        digests.all(|digest| Some(digest) == first) && self.check_links().is_ok()
    }

    /// Whether all links are up.
    pub(crate) fn check_links(&self) -> Result<(), Violation> {
        for (host, server) in self.hosts.iter().zip(self.servers()) {
            let up = self.sim.state(*host).links_up(&server.name).expect("the process runs it");
            let all = self.plan.topology().neighbours(&server.name).count();
            Violation::unless(up == all, Promise::LinksUp, || format!("{} has {up} of {all} links", server.name))?;
        }
        Ok(())
    }

    pub(crate) fn check_servers(&self) -> Result<(), Violation> {
        self.check_links()?;
        let known = self.known();
        for (name, Known { directory, .. }) in &known {
            self.knowledge.look_through(name, directory)?;
        }
        agree(&known)
    }

    fn known(&self) -> Vec<(&'p str, Known<'_>)> {
        let numbered = self.servers().iter().zip(&self.hosts).enumerate();
        numbered
            .map(|(place, (server, host))| (server.name.as_str(), known(&self.sim, self.plan, (place, *host))))
            .collect()
    }

    pub(crate) fn check_people(&self) -> Result<(), Violation> {
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
        let most_ahead = self.plan.topology().limits().max_future;
        let answers = Answers::read(name.as_str(), person, most_ahead, heard)
            .map_err(|how| Violation::new(Promise::Answers, how))?;
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
        let known = known(&self.sim, self.plan, (person.server, self.hosts[person.server]));
        for report in answers.confirmed {
            Violation::unless(known.covers(&report), Promise::NothingForgotten, || {
                format!("{} was confirmed, but is not known", report.line().escape_ascii())
            })?;
        }
        Ok(())
    }

    /// Everybody leaves; then nobody must be there but neighbours, once Places is not needed any more.
    pub(crate) fn part(&mut self) -> Result<(), Violation> {
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
        self.check_links()?;
        for _ in 0..PLACES_LINGER {
            if self.check_connections().is_ok() {
                break;
            }
            self.pass(Duration::from_secs(1))?;
        }
        self.check_connections()
    }

    /// Whether each process has let go of all connections that it has had but its links.
    fn check_connections(&self) -> Result<(), Violation> {
        for (host, server) in self.hosts.iter().zip(self.servers()) {
            let (has, links) = (self.sim.connections(*host), self.plan.topology().neighbours(&server.name).count());
            Violation::unless(has == links, Promise::LostOnce, || {
                format!("{} has {has} connections, of which {links} are links", server.name)
            })?;
        }
        Ok(())
    }
}

/// What the server in this place, on this host, knows now.
fn known<'s>(sim: &'s Sim<Servers>, plan: &Plan, (place, host): (usize, HostId)) -> Known<'s> {
    let topology = plan.topology();
    let limits = topology.limits();
    let node = sim.state(host).node(&topology.servers()[place].name).expect("the process runs it");
    let now = Timestamp::from(sim.wall_clock(host));
    Known {
        directory: node.directory(),
        most_clients: limits.max_clients,
        horizon: limits.client_ttl.map(|ttl| now.saturating_sub(ttl)),
    }
}

/// How many seconds the connections to Places may stay that were used last: some were while it was quiet already.
const PLACES_LINGER: u64 = 2 * STANDIN_IDLE_TIME.as_secs();
