//! A client of a server, on an event loop: says lines, waits for replies.
//!
//! The connection's protocol passes what it hears through a channel, so it fits on any loop: on one of its own, or, in
//! the demo, on the loop of the servers that it talks to. Whoever waits makes the loop's turns meanwhile, so no thread is needed.
//! Where a reply ends follows from the command: after an empty line of places, else after a line.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant, SystemTime};

use memchr::memchr;
use memchr::memmem;

use super::Failure;
use crate::driver::Sockets;
use crate::event_loop::{ConnId, EventLoop, Loop, Lost, Protocol, Security, Transport};
use crate::herd::command::Command;
use crate::herd::topology::Server;

/// A loop and its driver.
pub(super) struct Driven<S> {
    pub(super) event_loop: EventLoop<S>,
    pub(super) sockets: Sockets,
}

impl<S> Driven<S> {
    /// A loop with this state. Fails if the system is out of descriptors.
    pub(super) fn new(state: S) -> Result<Self, Failure> {
        let event_loop = EventLoop::new(state, Instant::now(), SystemTime::now());
        Ok(Self { event_loop, sockets: Sockets::new().map_err(Failure::of_system)? })
    }

    /// Makes turns until `look` sees what it waits for; `None` if it does not within `patience`.
    pub(super) fn wait<R>(
        &mut self,
        patience: Duration,
        mut look: impl FnMut(&S) -> Option<R>,
    ) -> Result<Option<R>, Failure> {
        let until = Instant::now() + patience;
        loop {
            if let Some(seen) = look(self.event_loop.state()) {
                return Ok(Some(seen));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.sockets.turn(&mut self.event_loop, Some(left.min(GLANCE))).map_err(Failure::of_system)?;
        }
    }
}

/// A connection to a server.
pub(super) struct Client {
    server: String,
    address: SocketAddr,
    connection: ConnId,
    heard: Receiver<Heard>,
    /// What came and was not asked for yet.
    unread: Vec<u8>,
}

impl Client {
    /// Connects; fails if nobody listens there.
    pub(super) fn connect<S>(driven: &mut Driven<S>, server: &Server) -> Result<Self, Failure> {
        let (sender, heard) = mpsc::channel();
        let address = server.clients;
        let connect =
            |event_loop: &mut Loop<'_, S>, _: &mut S| event_loop.connect(address, Security::Plain, Ear(sender));
        let connection = driven.event_loop.enter(connect);
        let server = server.name.to_string();
        let client = Self { server, address, connection, heard, unread: Vec::new() };
        match client.hear(driven)? {
            Heard::Made => Ok(client),
            Heard::Data(_) | Heard::Lost(None) => Err(client.fails("is gone")),
            Heard::Lost(Some(why)) => {
                let Self { server, .. } = client;
                Err(Failure::Failed(format!("{server} cannot be reached: {why}; start it with: proxy-herd {server}")))
            }
        }
    }

    /// Sends `text`, which need not be a whole line.
    pub(super) fn say<S>(&self, driven: &mut Driven<S>, text: &[u8]) {
        self.with_transport(driven, |transport| transport.write(text));
    }

    /// Sends nothing more: the server sees the end.
    pub(super) fn finish<S>(&self, driven: &mut Driven<S>) {
        self.with_transport(driven, |transport| transport.write_eof());
    }

    /// Waits for the whole reply to `command`; `None` if it gets none.
    pub(super) fn reply<S>(&mut self, driven: &mut Driven<S>, command: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let command = Command::parse(command.strip_suffix(b"\n").unwrap_or(command));
        if command == Command::Empty {
            return Ok(None);
        }
        loop {
            match end_of_reply(&self.unread, &command) {
                Some(end) if end <= REPLY_LIMIT => {
                    let rest = self.unread.split_off(end);
                    return Ok(Some(std::mem::replace(&mut self.unread, rest)));
                }
                None if self.unread.len() < REPLY_LIMIT => {}
                _ => return Err(self.fails("sends a reply that is too long")),
            }
            match self.hear(driven)? {
                Heard::Made => {}
                Heard::Data(data) => self.unread.extend_from_slice(&data),
                Heard::Lost(None) => return Err(self.fails("closed the connection, and owes a reply")),
                Heard::Lost(Some(why)) => return Err(self.fails(&format!("is gone: {why}"))),
            }
        }
    }

    /// Finishes, and waits until the server does, too; what it still says is an error.
    pub(super) fn leave<S>(self, driven: &mut Driven<S>) -> Result<(), Failure> {
        self.finish(driven);
        match self.hear(driven)? {
            Heard::Lost(None) if self.unread.is_empty() => Ok(()),
            Heard::Lost(Some(why)) => Err(self.fails(&format!("is gone: {why}"))),
            Heard::Lost(None) | Heard::Made | Heard::Data(_) => Err(self.fails("says more than it was asked")),
        }
    }

    fn with_transport<S>(&self, driven: &mut Driven<S>, act: impl FnOnce(&mut Transport<'_, S>)) {
        // One that is gone says so when a reply is waited for.
        driven.event_loop.enter(|event_loop, _| event_loop.transport(self.connection).as_mut().map(act));
    }

    fn hear<S>(&self, driven: &mut Driven<S>) -> Result<Heard, Failure> {
        let heard = driven.wait(PATIENCE, |_| self.heard.try_recv().ok())?;
        heard.ok_or_else(|| self.fails(&format!("says nothing for {PATIENCE:?}")))
    }

    fn fails(&self, how: &str) -> Failure {
        Failure::Failed(format!("{} at {} {how}", self.server, self.address))
    }
}

/// The protocol: passes on what it hears. That nobody may listen any more is no matter.
struct Ear(Sender<Heard>);

enum Heard {
    Made,
    Data(Vec<u8>),
    Lost(Option<io::Error>),
}

impl<S> Protocol<S> for Ear {
    fn connection_made(&mut self, _: &mut Transport<'_, S>, _: &mut S) {
        let _ = self.0.send(Heard::Made);
    }

    fn data_received(&mut self, _: &mut Transport<'_, S>, _: &mut S, data: &[u8]) {
        let _ = self.0.send(Heard::Data(data.to_vec()));
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, S>, _: &mut S, lost: Lost) {
        let _ = self.0.send(Heard::Lost(lost.why));
    }
}

/// Where the reply to `command` that `bytes` begin with is over, if it is.
fn end_of_reply(bytes: &[u8], command: &Command<'_>) -> Option<usize> {
    match command {
        Command::Whatsat(_) if !bytes.starts_with(b"?") => memmem::find(bytes, b"\n\n").map(|at| at + 2),
        _ => memchr(b'\n', bytes).map(|at| at + 1),
    }
}

/// How long a server may take to connect or to say something: Places may take 10 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long a turn may take before one looks again.
const GLANCE: Duration = Duration::from_millis(50);

/// The longest reply, in bytes: an AT line and what Places may answer, with room to spare.
const REPLY_LIMIT: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::event_loop::ServerSecurity;
    use crate::herd::name::ServerName;

    /// Answers the first bytes that come with so many.
    struct Talker(usize);

    impl Protocol<()> for Talker {
        fn data_received(&mut self, transport: &mut Transport<'_, ()>, _: &mut (), _: &[u8]) {
            transport.write(&[&vec![b'x'; self.0 - 1], b"\n".as_slice()].concat());
        }
    }

    #[test]
    fn a_reply_has_a_limit() {
        let check = |length: usize| {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("free");
            let address = listener.local_addr().expect("bound");
            let mut driven = Driven::new(()).expect("a poll");
            driven.sockets.provide(listener);
            driven.event_loop.enter(|event_loop, _| {
                event_loop.listen(address, ServerSecurity::Plain, move |_: &mut ()| Talker(length));
            });
            let name = ServerName::parse(b"Ball").expect("a name");
            let mut client =
                Client::connect(&mut driven, &Server { name, clients: address, peers: address }).expect("listens");
            client.say(&mut driven, b"?\n");
            client.reply(&mut driven, b"?\n").map(|reply| reply.map(|reply| reply.len())).map_err(|why| why.to_string())
        };
        assert_eq!(check(REPLY_LIMIT), Ok(Some(REPLY_LIMIT)));
        let why = check(REPLY_LIMIT + 1).expect_err("too long");
        assert!(why.ends_with(" sends a reply that is too long"), "{why}");
    }

    #[test]
    fn a_reply_ends_where_its_command_says() {
        let check = |command: &str, bytes: &str, end: Option<usize>| {
            assert_eq!(
                end_of_reply(bytes.as_bytes(), &Command::parse(command.as_bytes())),
                end,
                "{command}: {bytes:?}"
            );
        };
        check("IAMAT k +1+1 1", "AT N", None);
        check("IAMAT k +1+1 1", "AT N\n? ", Some(5));
        check("nonsense", "? nonsense\n", Some(11));
        check("WHATSAT k 1 1", "AT N\n{\n}\n", None);
        check("WHATSAT k 1 1", "AT N\n{\n}\n\nAT", Some(10));
        check("WHATSAT k 1 1", "? WHATSAT k 1 1\n", Some(16));
    }
}
