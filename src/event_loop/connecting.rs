//! How a connection comes to stand: looked up, dialled, agreed on.
//!
//! The hub's part of it: `dial` says what to try, the driver tries it, `channel` knows TLS.

use std::io;
use std::net::SocketAddr;

use super::ConnId;
use super::address::{Address, Endpoints};
use super::channel::{Channel, StartTls};
use super::clock::Moment;
use super::connection::{Connection, Phase, Reading, Writing};
use super::dial::{self, Connect, Dial, Target};
use super::hub::{Hub, Ready};
use super::protocol::Protocol;
use super::request::Request;
use super::timers::Due;

impl<S> Hub<S> {
    pub(super) fn connect(&mut self, connect: Connect, protocol: Box<dyn Protocol<S>>) -> ConnId {
        let mut dial = Dial::new(&connect);
        let mut lookup = None;
        let channel = Channel::connecting(connect.security).unwrap_or_else(|error| {
            dial.doom(error);
            Channel::Plain
        });
        match connect.target {
            _ if dial.is_doomed() => {}
            Target::Address(address) => dial.at(address),
            Target::Name(host, port) => match dial::literal(&host, port) {
                Some(address) => dial.at(Address::Ip(address)),
                None => lookup = Some((host, port)),
            },
        }
        let id = self.insert(Phase::Connecting(Box::new(dial)), channel, connect.handshake_timeout);
        self.newborns.push_back((id, protocol));
        self.set_deadline(id, Some(self.after(connect.timeout)));
        match lookup {
            Some((host, port)) => self.requests.push_back(Request::Resolve { id, host, port }),
            None => self.dial_on(id),
        }
        id
    }

    pub(super) fn resolved(&mut self, id: ConnId, found: io::Result<Vec<SocketAddr>>) {
        let Some(Connection { phase: Phase::Connecting(dial), .. }) = self.live(id) else { return };
        match found {
            Ok(addresses) => {
                dial.resolved(addresses);
                self.dial_on(id);
            }
            Err(error) => self.end(id, Some(error)),
        }
    }

    /// Starts the next attempt, or gives up.
    pub(super) fn dial_on(&mut self, id: ConnId) {
        let clock = self.clock;
        let Some(Connection { phase: Phase::Connecting(dial), .. }) = self.live(id) else { return };
        if let Some(address) = dial.next() {
            dial.next_at = dial.attempt_delay.filter(|_| dial.has_more()).map(|delay| clock.after(delay));
            let (next_at, local_addr) = (dial.next_at, dial.local_addr);
            if let Some(next_at) = next_at {
                self.timers.schedule(next_at, Due::Attempt(id));
            }
            self.requests.push_back(Request::Connect { id, address, local_addr });
        } else if let Some(failure) = dial.failure() {
            self.end(id, Some(failure));
        }
    }

    /// An attempt has had its time alone; it counts if it was the last.
    pub(super) fn dial_on_in_time(&mut self, id: ConnId, when: Moment) {
        if let Some(Connection { phase: Phase::Connecting(dial), .. }) = self.live(id)
            && dial.next_at == Some(when)
        {
            self.dial_on(id);
        }
    }

    pub(super) fn connect_failed(&mut self, id: ConnId, address: Address, error: io::Error) {
        if let Some(Connection { phase: Phase::Connecting(dial), .. }) = self.live(id) {
            dial.failed(address, error);
            self.dial_on(id);
        }
    }

    /// The socket stands at both ends; true if nothing else has to be agreed on.
    pub(super) fn established(&mut self, id: ConnId, endpoints: Endpoints) -> bool {
        let Some(connection) = self.live(id) else { return false };
        connection.rare.endpoints = Some(endpoints);
        connection.phase = Phase::Handshaking;
        if let Channel::Plain = connection.channel {
            return true;
        }
        self.shake_hands(id);
        false
    }

    /// Starts what TLS has to agree on.
    fn shake_hands(&mut self, id: ConnId) {
        let Some(connection) = self.live(id) else { return };
        let timeout = connection.rare.handshake_timeout;
        match connection.channel.begin(&mut connection.outgoing) {
            Ok(()) => {
                self.set_deadline(id, Some(self.after(timeout)));
                self.touched(id);
            }
            Err(error) => self.end(id, Some(error)),
        }
    }

    /// Puts TLS on a connection that stands; `leftover` came from the peer already.
    pub(super) fn start_tls(&mut self, id: ConnId, start: StartTls, leftover: &[u8]) {
        let Some(connection) = self.live(id).filter(|connection| matches!(connection.phase, Phase::Open)) else {
            return;
        };
        let refused = |kind, what| Err(io::Error::new(kind, what));
        let channel = match (&connection.channel, connection.writing, connection.reading) {
            (Channel::Tls(_), ..) => refused(io::ErrorKind::Unsupported, "start_tls: it is TLS already"),
            (_, Writing::Finishing | Writing::Finished, _) => {
                refused(io::ErrorKind::InvalidInput, "start_tls after write_eof")
            }
            (.., Reading::Ended) => {
                refused(io::ErrorKind::UnexpectedEof, "start_tls after the peer's end: there will be no handshake")
            }
            _ => Channel::upgraded(start),
        };
        match channel {
            Ok(Channel::Tls(mut tls)) => {
                tls.stash(leftover);
                connection.channel = Channel::Tls(tls);
                connection.phase = Phase::Upgrading;
                if connection.reading == Reading::Paused {
                    // The handshake is read all the same, also what has come of it already.
                    self.requests.push_back(Request::ResumeReading { id });
                }
                self.shake_hands(id);
                self.unsettle(id);
            }
            Ok(Channel::Plain) => {}
            Err(error) => self.end(id, Some(error)),
        }
    }

    /// The protocol was told that its connection stands: what it had written before may leave, and its end; and who wanted
    /// it woken meanwhile is obeyed.
    pub(super) fn made(&mut self, id: ConnId) {
        if self.live(id).is_some_and(|connection| connection.wake) {
            self.ready.push_back(Ready::Wake(id));
        }
        self.touched(id);
        self.conclude(id);
    }
}
