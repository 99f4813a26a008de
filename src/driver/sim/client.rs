//! A far end that a test plays by hand: it sends and reads bytes, as it is told, and knows no protocol.

use super::network::Network;
use super::wire::{EndId, EndPhase, Owner};
use super::{ClientId, Sim};
use crate::event_loop::Address;

/// How the other side ended a client's connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// In order: a FIN, after everything it had sent.
    Fin,
    /// With a reset, also after a FIN.
    Reset,
    /// Nobody listened.
    Refused,
}

/// A scripted client.
pub(super) struct Client {
    end: EndId,
    unsent: Vec<u8>,
    finishing: bool,
    appetite: Appetite,
    received: Vec<u8>,
    pub(super) ending: Option<Ending>,
}

/// Whether it reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Appetite {
    Reading,
    Stopped,
}

/// Clients.
impl<S> Sim<S> {
    /// Connects a client to an address. Nothing has happened yet when this returns.
    pub fn connect(&mut self, address: impl Into<Address>) -> ClientId {
        let network = &mut self.network;
        let id = ClientId(network.clients.len());
        let end = network.dial(Owner::Client(id), address.into(), None);
        network.clients.push(Client {
            end,
            unsent: Vec::new(),
            finishing: false,
            appetite: Appetite::Reading,
            received: Vec::new(),
            ending: None,
        });
        id
    }

    /// Sends bytes, as soon as the connection stands and as far as the window lets it; the rest follows by itself.
    ///
    /// # Panics
    ///
    /// After [`half_close`](Self::half_close).
    pub fn send(&mut self, client: ClientId, data: &[u8]) {
        let this = &mut self.network.clients[client.0];
        assert!(!this.finishing, "client {} sends after its half_close", client.0);
        this.unsent.extend_from_slice(data);
        self.network.flush(client);
    }

    /// Sends a FIN after everything; the client goes on reading.
    pub fn half_close(&mut self, client: ClientId) {
        self.network.clients[client.0].finishing = true;
        self.network.flush(client);
    }

    /// Drops the connection with a reset.
    pub fn reset(&mut self, client: ClientId) {
        let end = self.network.clients[client.0].end;
        self.network.reset(end);
    }

    /// Leaves what comes where it is: the window fills.
    pub fn stop_reading(&mut self, client: ClientId) {
        self.network.clients[client.0].appetite = Appetite::Stopped;
    }

    /// Reads again.
    pub fn go_on_reading(&mut self, client: ClientId) {
        self.network.clients[client.0].appetite = Appetite::Reading;
        self.network.attend(client);
    }

    /// Everything that was received and not taken.
    pub fn received(&self, client: ClientId) -> &[u8] {
        &self.network.clients[client.0].received
    }

    /// The same, and forgets it.
    pub fn take_received(&mut self, client: ClientId) -> Vec<u8> {
        std::mem::take(&mut self.network.clients[client.0].received)
    }

    /// How the other side has ended the connection, if it has; what it sent before was received before.
    pub fn ending(&self, client: ClientId) -> Option<Ending> {
        self.network.clients[client.0].ending
    }
}

impl Network {
    /// Something has happened to a client's end.
    pub(super) fn attend(&mut self, id: ClientId) {
        let end = self.clients[id.0].end;
        let Some(wire) = self.wires.get(&end.wire) else { return };
        match wire.end(end.side).phase {
            EndPhase::Dialling | EndPhase::Closed => {}
            EndPhase::Open => {
                self.drain(id);
                self.flush(id);
            }
            EndPhase::Broken => {
                self.clients[id.0].ending = Some(Ending::Reset);
                self.close(end);
            }
        }
    }

    fn drain(&mut self, id: ClientId) {
        let end = self.clients[id.0].end;
        let mut buffer = [0; 4096];
        while self.clients[id.0].appetite == Appetite::Reading {
            match self.read(end, &mut buffer) {
                Ok(0) => {
                    self.clients[id.0].ending.get_or_insert(Ending::Fin);
                    return;
                }
                Ok(count) => self.clients[id.0].received.extend_from_slice(&buffer[..count]),
                Err(_) => return,
            }
        }
    }

    fn flush(&mut self, id: ClientId) {
        let client = &mut self.clients[id.0];
        let end = client.end;
        let standing = self.wires.get(&end.wire).is_some_and(|wire| wire.end(end.side).phase == EndPhase::Open);
        if !standing {
            return;
        }
        let unsent = std::mem::take(&mut client.unsent);
        let mut rest = unsent.as_slice();
        while !rest.is_empty() {
            let Ok(count) = self.send(end, rest) else { break };
            rest = &rest[count..];
        }
        let client = &mut self.clients[id.0];
        client.unsent = rest.to_vec();
        if client.finishing && client.unsent.is_empty() {
            self.finish(end);
        }
    }
}
