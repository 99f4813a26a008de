//! A connection to Places in callbacks: what `lookups` gives it to ask is written, what is read goes there.

use crate::event_loop::{AfterEof, Loop, Lost, Protocol, Transport};
use crate::server::Servers;
use crate::server::limits::{LOOKUP_CLOSE_TIME, LOOKUP_IDLE_TIME};
use crate::server::lookups::Heard;

/// One connection.
pub(in crate::server) struct Lookup;

impl Protocol<Servers> for Lookup {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        transport.set_close_timeout(LOOKUP_CLOSE_TIME);
        ask(transport, servers);
    }

    /// A connection that was kept has something to ask.
    fn woken(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        ask(transport, servers);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers, data: &[u8]) {
        let id = transport.id();
        match servers.lookups.hear(&mut transport.event_loop(), id, data) {
            Heard::Part => {}
            Heard::Kept => transport.set_timeout(Some(LOOKUP_IDLE_TIME)),
            Heard::Last => transport.close(),
            Heard::Nonsense => transport.abort(),
        }
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) -> AfterEof {
        let id = transport.id();
        servers.lookups.hear_end(&mut transport.event_loop(), id);
        AfterEof::Close
    }

    /// It was kept, and nobody asked.
    fn timed_out(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        transport.close();
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, lost: Lost) {
        servers.lookups.lost(event_loop, lost);
    }
}

/// While a question is out, the connection has no deadline of its own: the question has.
fn ask(transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
    if let Some(request) = servers.lookups.request(transport.id()) {
        transport.write(&request);
        transport.set_timeout(None);
    }
}
