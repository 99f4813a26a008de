//! What goes wrong in a simulation, when a test says so: cuts, stalls, crashes, refusals, want of descriptors.

use std::collections::BTreeSet;

use super::host::Process;
use super::network::Network;
use super::wire::{EndId, EndPhase, Owner, Side};
use super::{HostId, Sim};
use crate::event_loop::Address;

/// How a host dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// The process is killed: the system resets its connections, and refuses new ones.
    Killed,
    /// The machine loses its power: nobody hears anything, until it is back.
    Silent,
}

/// The obstacles that exist now.
#[derive(Default)]
pub(super) struct Faults {
    /// Nothing gets from the first to the second.
    stalled: BTreeSet<(HostId, HostId)>,
    /// Nothing gets there.
    silent: BTreeSet<HostId>,
    pub(super) refused: BTreeSet<Address>,
    ignored: BTreeSet<Address>,
}

/// Faults.
///
/// `Note` writes into the state what it is told:
///
/// ```
/// # use std::{net::SocketAddr, time::Duration};
/// # use proxy_herd::{driver::sim::*, event_loop::*};
/// #
/// # struct Note;
/// #
/// # impl Protocol<String> for Note {
/// #     fn connection_made(&mut self, _: &mut Transport<'_, String>, notes: &mut String) {
/// #         notes.push_str("made ");
/// #     }
/// #
/// #     fn data_received(&mut self, _: &mut Transport<'_, String>, notes: &mut String, data: &[u8]) {
/// #         notes.push_str(std::str::from_utf8(data).expect("a word"));
/// #     }
/// #
/// #     fn connection_lost(&mut self, _: &mut Loop<'_, String>, notes: &mut String, lost: Lost) {
/// #         notes.push_str(&lost.why.map_or("lost ".to_owned(), |why| format!("lost:{:?} ", why.kind())));
/// #     }
/// # }
/// #
/// # let mut sim = Sim::new(7, Weather::default());
/// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
/// # let [goloman, hands] = ["Goloman", "Hands"].map(|name| sim.add_host(name, String::new()));
/// let serve = |sim: &mut Sim<String>| {
///     sim.enter(goloman, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut String| Note));
/// };
/// let connect = |sim: &mut Sim<String>| {
///     let id = sim.enter(hands, |event_loop, _| event_loop.connect(address, Security::Plain, Note));
///     sim.run_for(Duration::from_secs(1));
///     id
/// };
/// serve(&mut sim);
/// let id = connect(&mut sim);
///
/// // Nothing gets through, and nobody is told.
/// sim.stall(hands, goloman);
/// sim.enter(hands, |event_loop, _| event_loop.transport(id).expect("it stands").write(b"hello "));
/// sim.run_for(Duration::from_secs(60));
/// assert_eq!(sim.state(goloman), "made ");
/// sim.heal(hands, goloman);
/// sim.run_for(Duration::from_secs(1));
/// assert_eq!(sim.state(goloman), "made hello ");
///
/// // Both are told, and there is no way back.
/// sim.cut(hands, goloman);
/// connect(&mut sim);
/// assert_eq!(sim.state(hands), "made lost:ConnectionReset ");
/// sim.heal(hands, goloman);
/// sim.run_for(Duration::from_secs(1));
/// assert_eq!(sim.state(hands), "made lost:ConnectionReset made ");
///
/// // One is told; the other begins from nothing.
/// sim.crash(goloman, Crash::Killed);
/// connect(&mut sim);
/// assert!(sim.state(hands).ends_with("made lost:ConnectionReset lost:ConnectionRefused "));
/// sim.restart(goloman, String::new());
/// serve(&mut sim);
/// connect(&mut sim);
/// assert_eq!(sim.state(goloman), "made ");
///
/// // Whoever comes now waits, until a try that is made every 100 ms succeeds.
/// sim.out_of_descriptors(goloman);
/// sim.connect(address);
/// sim.run_for(Duration::from_secs(60));
/// assert_eq!(sim.state(goloman), "made ");
/// sim.descriptors_again(goloman);
/// sim.run_for(Duration::from_millis(101));
/// assert_eq!(sim.state(goloman), "made made ");
/// ```
impl<S> Sim<S> {
    /// Cuts two hosts off from each other: their connections are reset, what is on its way is lost, and new ones get no
    /// answer until [`heal`](Self::heal).
    pub fn cut(&mut self, one: HostId, other: HostId) {
        self.network.note(|network| format!("cut {} | {}", network.name(one), network.name(other)));
        self.network.cut(one, other);
        self.network.faults.stalled.extend([(one, other), (other, one)]);
        self.hand_out();
    }

    /// Silently holds back whatever `from` sends to `to`, until [`heal`](Self::heal). What `to` sends arrives, as far as the
    /// window has room.
    pub fn stall(&mut self, from: HostId, to: HostId) {
        self.network.note(|network| format!("stall {} > {}", network.name(from), network.name(to)));
        self.network.faults.stalled.insert((from, to));
    }

    /// Ends cuts and stalls between two hosts; what was held back arrives now.
    pub fn heal(&mut self, one: HostId, other: HostId) {
        self.network.note(|network| format!("heal {} - {}", network.name(one), network.name(other)));
        self.network.faults.stalled.remove(&(one, other));
        self.network.faults.stalled.remove(&(other, one));
        self.network.release();
    }

    /// Ends a host at once; its state is dropped, and nothing of it is called.
    pub fn crash(&mut self, host: HostId, how: Crash) {
        self.network.note(|network| format!("crash {} {how:?}", network.name(host)));
        if how == Crash::Silent {
            self.network.faults.silent.insert(host);
        }
        self.network.vacate(host, how);
        self.hosts[host.0].system.forget();
        self.hosts[host.0].process = Process::Down;
    }

    /// Starts a host again, from nothing but this state: what it is to listen on, `enter` has to say anew.
    ///
    /// # Panics
    ///
    /// If it runs.
    pub fn restart(&mut self, host: HostId, state: S) {
        assert!(matches!(self.hosts[host.0].process, Process::Down | Process::Exited(_)), "it runs already");
        self.network.note(|network| format!("restart {}", network.name(host)));
        self.network.faults.silent.remove(&host);
        self.network.doors.retain(|_, door| door.host != host);
        self.hosts[host.0].boot(state, &self.network);
        self.network.release();
    }

    /// Refuses connections to an address although somebody may listen there, until [`readmit`](Self::readmit).
    pub fn refuse(&mut self, address: impl Into<Address>) {
        self.network.faults.refused.insert(address.into());
    }

    /// Leaves connections to an address without any answer, until [`readmit`](Self::readmit).
    pub fn ignore(&mut self, address: impl Into<Address>) {
        self.network.faults.ignored.insert(address.into());
    }

    /// Ends [`refuse`](Self::refuse) and [`ignore`](Self::ignore).
    pub fn readmit(&mut self, address: impl Into<Address>) {
        let address = address.into();
        self.network.faults.refused.remove(&address);
        self.network.faults.ignored.remove(&address);
        self.network.release();
    }

    /// Gives a host no more file descriptors than it has in use now, until
    /// [`descriptors_again`](Self::descriptors_again).
    pub fn out_of_descriptors(&mut self, host: HostId) {
        let system = &mut self.hosts[host.0].system;
        system.descriptors = Some(system.descriptors_in_use());
    }

    /// Lets a host open files again.
    pub fn descriptors_again(&mut self, host: HostId) {
        self.hosts[host.0].system.descriptors = None;
    }
}

impl Network {
    /// Whether what arrives at this end meets an obstacle instead.
    pub(super) fn is_held(&self, to: EndId) -> bool {
        let Some(wire) = self.wires.get(&to.wire) else { return false };
        let (sender, receiver) = (wire.end(to.peer().side), wire.end(to.side));
        let knocks = receiver.owner == Owner::Nobody;
        if knocks && self.faults.ignored.contains(&receiver.address) {
            return true;
        }
        // Where nobody has answered yet, it is the listener's host that counts.
        let target = if knocks { self.door(&receiver.address).map(|door| door.host) } else { receiver.host() };
        let Some(target) = target else { return false };
        self.faults.silent.contains(&target)
            || sender.host().is_some_and(|source| self.faults.stalled.contains(&(source, target)))
    }

    /// Breaks every connection between two hosts.
    fn cut(&mut self, one: HostId, other: HostId) {
        for id in self.ends_of(one) {
            let wire = self.wires.get_mut(&id.wire).expect("listed just now");
            if wire.end(id.peer().side).host() != Some(other) {
                continue;
            }
            for id in [id, id.peer()] {
                let Some(wire) = self.wires.get_mut(&id.wire) else { continue };
                let end = wire.end_mut(id.side);
                match end.phase {
                    EndPhase::Dialling => self.turn_away(id),
                    EndPhase::Open => {
                        end.shatter();
                        self.tell_of_reset(id);
                    }
                    EndPhase::Broken | EndPhase::Closed => {}
                }
            }
        }
    }

    /// A process has ended without a farewell: its sockets go. A silent host's doors stay, for nobody knows better.
    fn vacate(&mut self, host: HostId, how: Crash) {
        self.doors.retain(|_, door| door.host != host || how == Crash::Silent);
        self.forget_questions(host);
        for end in self.ends_of(host) {
            match how {
                Crash::Killed => self.reset(end),
                Crash::Silent => self.close(end),
            }
        }
    }

    fn ends_of(&self, host: HostId) -> Vec<EndId> {
        let ends = self.wires.iter().flat_map(|(wire, contents)| {
            let sides = [Side::Dialler, Side::Listener].into_iter();
            sides.map(move |side| (EndId { wire: *wire, side }, contents.end(side)))
        });
        ends.filter(|(_, end)| end.host() == Some(host)).map(|(id, _)| id).collect()
    }
}
