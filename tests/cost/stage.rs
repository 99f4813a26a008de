//! What every measurement begins with: a loop on real sockets, its clients on the same thread, and what was allocated.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::EventLoop;

/// A loop that listens on a real socket; other tests wait until it is gone, for they share the process's descriptors.
pub(crate) struct Stage<S> {
    pub(crate) address: SocketAddr,
    event_loop: EventLoop<S>,
    sockets: Sockets,
    connections: fn(&S) -> usize,
    _alone: MutexGuard<'static, ()>,
}

impl<S> Stage<S> {
    /// `start` is told on which address to listen; `connections` tells how many clients there are.
    pub(crate) fn new(start: impl FnOnce(SocketAddr) -> EventLoop<S>, connections: fn(&S) -> usize) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut sockets = Sockets::new().expect("descriptors");
        sockets.provide(listener);
        let mut stage = Self { address, event_loop: start(address), sockets, connections, _alone: alone };
        // It begins to listen.
        stage.turn();
        stage
    }

    pub(crate) fn state(&self) -> &S {
        self.event_loop.state()
    }

    /// One turn that does not sleep: a turn sends first, and who waits for what it sent is on this thread.
    pub(crate) fn turn(&mut self) {
        self.sockets.turn(&mut self.event_loop, Some(Duration::ZERO)).expect("a poll");
    }

    /// Turns until `look` has found something.
    pub(crate) fn until<R>(&mut self, mut look: impl FnMut(&Self) -> Option<R>) -> R {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "nothing happens");
            self.turn();
        }
    }

    pub(crate) fn until_connections_are(&mut self, count: usize) {
        self.until(|stage| ((stage.connections)(stage.state()) == count).then_some(()));
    }

    /// Lets clients in until there are `count`.
    pub(crate) fn welcome(&mut self, clients: &mut Vec<TcpStream>, count: usize) {
        while clients.len() < count {
            clients.push(connect(self.address));
            // No more at once than may wait to be accepted.
            if clients.len().is_multiple_of(64) || clients.len() == count {
                self.until_connections_are(clients.len());
            }
        }
    }

    /// A client says something, all of it.
    pub(crate) fn say(&mut self, client: &mut impl Write, mut text: &[u8]) {
        while !text.is_empty() {
            let count = self.until(|_| in_time(uncounted(|| client.write(text))));
            text = &text[count..];
        }
    }

    /// A client has something to read, and reads as much as there is room for: nothing, if the server has ended.
    pub(crate) fn hear(&mut self, client: &mut impl Read, room: &mut [u8]) -> usize {
        self.until(|_| in_time(uncounted(|| client.read(room))))
    }

    /// What an idle connection costs, in bytes, with each number of them. All have been used: each has said something, and then
    /// all at once.
    pub(crate) fn idle<C: Read + Write>(
        &mut self,
        used: &Used<'_>,
        mut connect: impl FnMut(SocketAddr) -> C,
    ) -> Vec<(usize, i64)> {
        let mut clients = Vec::with_capacity(*used.counts.last().expect("at least one"));
        let mut grown = 0;
        let each = |count: &usize| {
            let count = with_descriptors(*count);
            grown += bytes(|| {
                while clients.len() < count {
                    let mut client = uncounted(|| connect(self.address));
                    self.talk(&mut client, used.message, used.answer);
                    clients.push(client);
                }
                clients.iter_mut().for_each(|client| self.say(client, used.message));
                clients.iter_mut().for_each(|client| self.talk(client, b"", used.answer));
            });
            (count, grown / count as i64)
        };
        let costs = used.counts.iter().map(each).collect();
        assert_eq!((self.connections)(self.state()), clients.len());
        costs
    }

    /// A client says something, and has an answer of that length.
    pub(crate) fn talk(&mut self, client: &mut (impl Read + Write), text: &[u8], mut answer: usize) {
        self.say(client, text);
        let mut room = [0; 4096];
        while answer > 0 {
            let count = self.hear(client, &mut room);
            assert!((1..=answer).contains(&count), "{count} bytes of an answer of {answer}");
            answer -= count;
        }
    }
}

/// How many connections to try, one number after the other, and what each is used for.
pub(crate) struct Used<'a> {
    pub(crate) counts: &'a [usize],
    pub(crate) message: &'a [u8],
    /// How long the answer is.
    pub(crate) answer: usize,
}

/// A client that does not block, as it shares the server's thread.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).expect("the server listens");
    client.set_nodelay(true).and_then(|()| client.set_nonblocking(true)).expect("a socket");
    client
}

/// What `act` has allocated on this thread and not freed, less what it has freed only.
pub(crate) fn bytes(act: impl FnOnce()) -> i64 {
    allocation_counter::measure(act).bytes_current
}

/// What `act` allocates and frees does not count: it is a client's.
pub(crate) fn uncounted<R>(act: impl FnOnce() -> R) -> R {
    let mut result = None;
    allocation_counter::opt_out(|| result = Some(act()));
    result.expect("it was called")
}

/// How many connections a test may have that wants `count`: fewer if the system gives this process few descriptors.
pub(crate) fn with_descriptors(count: usize) -> usize {
    // Each connection takes two.
    let wanted = 2 * count + OTHER_DESCRIPTORS;
    let most = rlimit::increase_nofile_limit(wanted as u64).expect("a limit");
    count.min((most as usize).saturating_sub(OTHER_DESCRIPTORS) / 2).max(1)
}

/// What a call that does not block has come to, if it has.
fn in_time<R>(outcome: std::io::Result<R>) -> Option<R> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        outcome => Some(outcome.expect("the server is there")),
    }
}

/// What the process has open beside connections, generously.
const OTHER_DESCRIPTORS: usize = 100;

/// More than any step takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);
