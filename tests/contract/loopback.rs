//! The real world: a loop on real sockets, and clients with ordinary ones that never block.
//!
//! One such world at a time, since some tests count descriptors and signals are the whole process's. Nothing sleeps: the
//! poll waits for what happens.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::{EventLoop, Loop, Protocol, ServerSecurity, Signal, Transport};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use socket2::{Domain, SockRef, Socket, Type};

use crate::recorder::Journal;
use crate::world::{Client, World};

/// A loop, its driver, and who visits it.
pub(crate) struct Loopback {
    pub(crate) event_loop: EventLoop<Journal>,
    /// Gone once the loop was stopped, as with the end of a process.
    sockets: Option<Sockets>,
    home: SocketAddr,
    /// Bound, so that they are nobody else's, and not listening.
    reserved: Vec<Socket>,
    clients: Vec<Visitor>,
    sentinel: TcpStream,
    until: Instant,
    _alone: MutexGuard<'static, ()>,
}

/// A client's end.
struct Visitor {
    /// Gone once both halves have ended, or it was reset or refused.
    stream: Option<TcpStream>,
    unsent: VecDeque<u8>,
    outgoing: Outgoing,
    is_reading: bool,
    received: Vec<u8>,
    ending: Option<Ending>,
}

/// A client's half of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outgoing {
    Open,
    /// It ends once everything is sent.
    Ending,
    Ended,
}

impl Loopback {
    pub(crate) fn new() -> Self {
        let alone = alone();
        let mut event_loop = EventLoop::new(Journal::default(), Instant::now(), SystemTime::now());
        let mut sockets = Sockets::new().expect("descriptors for a poll");
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = door.local_addr().expect("it is bound");
        sockets.provide(door);
        event_loop.enter(|event_loop, _| {
            event_loop.listen(address, ServerSecurity::Plain, |_: &mut Journal| Sentinel);
        });
        let sentinel = TcpStream::connect(address).expect("it listens already");
        sentinel.set_nonblocking(true).and_then(|()| sentinel.set_nodelay(true)).expect("a socket");
        let (home, reserved) = reserve();
        let mut loopback = Self {
            event_loop,
            sockets: Some(sockets),
            home,
            reserved: vec![reserved],
            clients: Vec::new(),
            sentinel,
            until: Instant::now() + PATIENCE,
            _alone: alone,
        };
        loopback.send_sentinel();
        loopback
    }

    /// The driver.
    pub(crate) fn sockets(&mut self) -> &mut Sockets {
        self.sockets.as_mut().expect("the loop runs")
    }

    /// One turn of the loop, without the clients.
    pub(crate) fn turn(&mut self, at_most: Duration) {
        if let Some(sockets) = &mut self.sockets {
            sockets.turn(&mut self.event_loop, Some(at_most)).expect("the poll works");
        }
        if self.event_loop.is_stopped() && self.is_running() {
            let mut sockets = self.sockets.take().expect("it runs");
            sockets.finish(&mut self.event_loop);
        }
    }

    /// Runs the loop until it is stopped; it may go on after that.
    pub(crate) fn run(&mut self) {
        let sockets = self.sockets.as_mut().expect("the loop runs");
        sockets.run(&mut self.event_loop).expect("the poll works");
    }

    /// Another handle of a client's socket.
    pub(crate) fn stream(&self, client: Client) -> TcpStream {
        let stream = self.clients[client.0].stream.as_ref().expect("it is connected");
        stream.try_clone().expect("a descriptor")
    }

    /// Lets the clients do what they can; true if that was something.
    pub(crate) fn move_clients(&mut self) -> bool {
        let mut moved = false;
        for client in &mut self.clients {
            moved |= client.step();
        }
        moved
    }

    /// A byte goes to the loop and comes back: what was sent before has arrived. True if clients could move meanwhile.
    fn send_sentinel(&mut self) -> bool {
        let mut moved = self.move_clients();
        // Once the loop was stopped, nobody hears it.
        let sent = self.sentinel.write_all(b"?");
        assert!(sent.is_ok() || !self.is_running(), "the sentinel is lost: {sent:?}");
        while self.is_running() && !is_something_read(&mut self.sentinel) {
            self.turn(Duration::ZERO);
            moved |= self.move_clients();
            self.check_time();
        }
        moved
    }

    fn check_time(&self) {
        assert!(Instant::now() < self.until, "it takes far too long: {:#?}", self.event_loop.state().all());
    }
}

impl World for Loopback {
    fn address(&self) -> SocketAddr {
        self.home
    }

    fn another_address(&mut self) -> SocketAddr {
        let (address, socket) = reserve();
        self.reserved.push(socket);
        address
    }

    fn open(&mut self, address: SocketAddr) {
        let is_it = |socket: &mut Socket| socket.local_addr().is_ok_and(|local| local.as_socket() == Some(address));
        let reserved = self.reserved.extract_if(.., is_it).next();
        if let Some(socket) = reserved {
            socket.listen(BACKLOG).expect("it is bound");
            self.sockets().provide(socket);
        }
    }

    fn connect_to(&mut self, address: SocketAddr) -> Client {
        let (stream, ending) = match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).expect("a socket");
                (Some(stream), None)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => (None, Some(Ending::Refused)),
            Err(error) => panic!("a client cannot connect: {error}"),
        };
        let (unsent, received) = (VecDeque::new(), Vec::new());
        self.clients.push(Visitor { stream, unsent, outgoing: Outgoing::Open, is_reading: true, received, ending });
        Client(self.clients.len() - 1)
    }

    fn send(&mut self, client: Client, data: &[u8]) {
        let client = &mut self.clients[client.0];
        client.unsent.extend(data);
        client.flush();
    }

    fn half_close(&mut self, client: Client) {
        let client = &mut self.clients[client.0];
        client.outgoing = Outgoing::Ending;
        client.flush();
    }

    fn reset(&mut self, client: Client) {
        if let Some(stream) = self.clients[client.0].stream.take() {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket can be reset");
        }
    }

    fn stop_reading(&mut self, client: Client) {
        self.clients[client.0].is_reading = false;
    }

    fn go_on_reading(&mut self, client: Client) {
        self.clients[client.0].is_reading = true;
    }

    fn received(&self, client: Client) -> &[u8] {
        &self.clients[client.0].received
    }

    fn take_received(&mut self, client: Client) -> Vec<u8> {
        std::mem::take(&mut self.clients[client.0].received)
    }

    fn ending(&self, client: Client) -> Option<Ending> {
        self.clients[client.0].ending
    }

    fn journal(&self) -> &Journal {
        self.event_loop.state()
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut Loop<'_, Journal>, &mut Journal)) {
        self.event_loop.enter(visit);
    }

    fn is_running(&self) -> bool {
        self.sockets.is_some()
    }

    fn signal(&mut self, signal: Signal) {
        let number = match signal {
            Signal::Hangup => SIGHUP,
            Signal::Interrupt => SIGINT,
            Signal::Terminate => SIGTERM,
            Signal::User1 => SIGUSR1,
        };
        signal_hook::low_level::raise(number).expect("a process may signal itself");
    }

    fn step(&mut self) -> bool {
        let at_most = if self.move_clients() { Duration::ZERO } else { A_WHILE };
        self.turn(at_most);
        Instant::now() < self.until
    }

    /// Twice in a row nothing moves for a whole round: a sentinel comes back, and the poll finds nothing for a while.
    fn quiet(&mut self) {
        let mut still = 0;
        while still < 2 {
            let before = self.journal().length();
            let moved = self.send_sentinel();
            let begun = Instant::now();
            self.turn(A_WHILE);
            let slept = !self.is_running() || begun.elapsed() >= A_WHILE;
            still = if moved || !slept || self.journal().length() != before { 0 } else { still + 1 };
            self.check_time();
        }
    }

    fn trace(&self) -> String {
        "on sockets".to_owned()
    }

    fn loopback(&mut self) -> &mut Loopback {
        self
    }
}

impl Visitor {
    /// Writes and reads what is possible; true if that was something.
    fn step(&mut self) -> bool {
        let sent = self.flush();
        let heard = self.is_reading && self.hear();
        sent || heard
    }

    fn flush(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let before = self.unsent.len();
        while !self.unsent.is_empty() {
            match stream.write(self.unsent.as_slices().0) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The loop has reset it: `hear` tells.
                Err(_) => self.unsent.clear(),
            }
        }
        if self.unsent.is_empty() && self.outgoing == Outgoing::Ending {
            // The loop may have reset it before.
            let _ = stream.shutdown(Shutdown::Write);
            self.outgoing = Outgoing::Ended;
        }
        self.unsent.len() < before
    }

    fn hear(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut buffer = [0; 16 * 1024];
        let news = match (self.ending, stream.read(&mut buffer)) {
            (_, Ok(count)) if count > 0 => {
                self.received.extend_from_slice(&buffer[..count]);
                return true;
            }
            (None, Ok(_)) => Some(Ending::Fin),
            // After a FIN a read says no more; a reset that follows shows here only.
            (Some(Ending::Fin), Ok(_)) => stream.take_error().ok().flatten().map(|_| Ending::Reset),
            (Some(_), Ok(_)) => None,
            (_, Err(error)) if error.kind() == ErrorKind::WouldBlock => None,
            (ending, Err(_)) => (ending != Some(Ending::Reset)).then_some(Ending::Reset),
        };
        self.ending = news.or(self.ending);
        if self.ending == Some(Ending::Reset) || self.ending.is_some() && self.outgoing == Outgoing::Ended {
            self.stream = None;
        }
        news.is_some()
    }
}

/// Waits until no other test opens or counts descriptors.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends everything back and leaves no trace.
struct Sentinel;

impl Protocol<Journal> for Sentinel {
    fn data_received(&mut self, transport: &mut Transport<'_, Journal>, _: &mut Journal, data: &[u8]) {
        transport.write(data);
    }
}

fn is_something_read(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(count) => count > 0,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("the sentinel is lost: {error}"),
    }
}

/// A free address of loopback where nobody listens.
fn reserve() -> (SocketAddr, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a free port");
    let address = socket.local_addr().expect("it is bound").as_socket().expect("an address of the Internet");
    (address, socket)
}

/// How many may wait at the door.
const BACKLOG: i32 = 1024;

/// How long the poll waits for something to happen before it counts as nothing.
const A_WHILE: Duration = Duration::from_millis(1);

/// Far too long for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
