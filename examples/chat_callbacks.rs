//! A chat room, with callbacks: `cargo run --example chat_callbacks`, then `nc 127.0.0.1 8888` in two terminals or more.
//!
//! To be read beside `chat_streams.rs`, which does the same. A guest's first line is the name; each line after it is told to all
//! others. A guest who does not read misses what is said meanwhile; one whose line is too long is shown out. The argument is
//! where to listen.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{
    Address, ConnId, EventLoop, Loop, Lost, Protocol, ProtocolFactory, ServerSecurity, Transport,
};
use proxy_herd::wire::lines::{Line, LineBuffer};

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8888").parse()?;
    let room = Room { guests: BTreeSet::new(), outcome: Ok(()) };
    let mut event_loop = EventLoop::new(room, Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, _| event_loop.listen(address, ServerSecurity::Plain, Entrance));
    Sockets::new()?.run(&mut event_loop)?;
    event_loop.into_state().outcome.map_err(|error| error.to_string().into())
}

/// Who is there: the state that all callbacks are lent. It names connections; the loop has them.
struct Room {
    guests: BTreeSet<ConnId>,
    outcome: io::Result<()>,
}

impl Room {
    /// Tells all but `speaker`.
    fn tell(&self, event_loop: &mut Loop<'_, Room>, speaker: Option<ConnId>, words: &[&[u8]]) {
        for guest in self.guests.iter().filter(|guest| Some(**guest) != speaker) {
            // Who does not read misses it: nothing is kept without end.
            if let Some(mut transport) = event_loop.transport(*guest)
                && !transport.is_writing_paused()
            {
                transport.writelines(words.iter().copied());
            }
        }
    }
}

struct Entrance;

impl ProtocolFactory<Room> for Entrance {
    fn protocol(&mut self, _: &mut Room) -> Box<dyn Protocol<Room>> {
        Box::new(Guest { name: None, lines: LineBuffer::new(LIMIT) })
    }

    fn listening(&mut self, _: &mut Loop<'_, Room>, _: &mut Room, address: &Address) {
        println!("Serving on {address}");
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Room>, room: &mut Room, error: io::Error) {
        room.outcome = Err(error);
        event_loop.stop();
    }
}

struct Guest {
    name: Option<Vec<u8>>,
    lines: LineBuffer,
}

impl Protocol<Room> for Guest {
    fn data_received(&mut self, transport: &mut Transport<'_, Room>, room: &mut Room, data: &[u8]) {
        let id = transport.id();
        let mut lines = self.lines.feed(data);
        while let Some(line) = lines.next() {
            match (&self.name, line) {
                (_, Line::TooLong(_)) => transport.close(),
                (Some(name), Line::Whole(line)) => {
                    room.tell(&mut transport.event_loop(), Some(id), &[name, b": ", line, b"\n"]);
                }
                (None, Line::Whole(name)) => {
                    self.name = Some(name.to_vec());
                    room.guests.insert(id);
                    room.tell(&mut transport.event_loop(), None, &[b"* ", name, b" has come\n"]);
                }
            }
        }
    }

    // `eof_received` closes, unless it says otherwise.

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Room>, room: &mut Room, lost: Lost) {
        if let Some(name) = &self.name {
            room.guests.remove(&lost.id);
            room.tell(event_loop, None, &[b"* ", name, b" has gone\n"]);
        }
    }
}

/// The most bytes of a line, its `\n` not counted.
const LIMIT: usize = 1024;
