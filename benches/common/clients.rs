//! Clients over loopback, on one thread, of a server on another.
//!
//! The clients have the first core for themselves and the servers the last: two threads that the scheduler happens to put
//! on one core echo ten times as fast, one message at a time, as two that must wake each other across.

use std::fmt;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::JoinHandle;

use super::cores::{Core, pin};
use super::loopback;
use super::pairs::{Contestant, Thread};

/// How many clients, and how many messages each has under way.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) connections: usize,
    pub(crate) depth: usize,
}

impl Case {
    /// Messages in a round trip of all clients.
    pub(crate) fn messages(self) -> usize {
        self.connections * self.depth
    }
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.connections == 1 { "" } else { "s" };
        write!(formatter, "{} connection{plural}, {} at a time", self.connections, self.depth)
    }
}

/// Serves whoever comes to a bound listener, until the last one has gone.
pub(crate) type Serve = fn(TcpListener);

/// What clients say and hear.
#[derive(Clone, Copy)]
pub(crate) struct Talk {
    pub(crate) line: &'static [u8],
    /// How long the answer to a line is.
    pub(crate) answer: usize,
    /// Makes the line another, before each time that it is said; the number counts all that was said.
    pub(crate) renew: fn(&mut [u8], u64),
}

/// Connected clients of a server on another thread, which ends when they are dropped.
pub(crate) struct Clients {
    talk: Talk,
    streams: Vec<TcpStream>,
    batch: Vec<u8>,
    answer: Vec<u8>,
    said: u64,
    server: Option<JoinHandle<()>>,
    threads: [Thread; 2],
}

impl Clients {
    /// Starts `serve` on its thread and connects the clients.
    pub(crate) fn connect(case: Case, talk: Talk, serve: Serve) -> Self {
        // Two for each connection, of both servers at once.
        rlimit::increase_nofile_limit(DESCRIPTORS).expect("a limit");
        pin(Core::First);
        let listener = loopback::bind();
        let address = loopback::address(&listener);
        let server = std::thread::Builder::new().name("server".to_owned());
        let (tell, thread) = mpsc::channel();
        let server = server
            .spawn(move || {
                pin(Core::Last);
                tell.send(Thread::current()).expect("somebody waits for it");
                serve(listener);
            })
            .expect("a thread");
        let connect = |_| {
            let stream = TcpStream::connect(address).expect("the server listens");
            stream.set_nodelay(true).expect("it is a TCP socket");
            stream
        };
        let streams = (0..case.connections).map(connect).collect();
        let threads = [thread.recv().expect("the server runs"), Thread::current()];
        let (batch, answer) = (talk.line.repeat(case.depth), vec![0; talk.answer * case.depth]);
        Self { talk, streams, batch, answer, said: 0, server: Some(server), threads }
    }

    /// Every client sends a batch, then every client waits for its answers.
    pub(crate) fn round_trip(&mut self) {
        for stream in &mut self.streams {
            for line in self.batch.chunks_exact_mut(self.talk.line.len()) {
                (self.talk.renew)(line, self.said);
                self.said += 1;
            }
            stream.write_all(&self.batch).expect("the server reads");
        }
        for stream in &mut self.streams {
            stream.read_exact(&mut self.answer).expect("the server answers");
            assert!(self.answer.ends_with(b"\n"), "an answer has another length");
        }
    }
}

impl Contestant for Clients {
    fn round(&mut self) {
        self.round_trip();
    }

    fn threads(&self) -> &[Thread] {
        &self.threads
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.streams.clear();
        self.server.take().expect("joined once").join().expect("the server has ended in good order");
    }
}

/// Enough for the largest case.
const DESCRIPTORS: u64 = 5_000;
