//! The clients, one connection to each server they talk with: reports at a fixed rate, whether the servers keep up or not.
//!
//! Reports are due in bursts, at most every half a millisecond: at 1,000 a second one by one, at 100,000 fifty at a time, in
//! turns to the servers. What counts is when a report was due: that the load itself was late is the herd's loss. One thread does it
//! all, with system calls that do not wait: it shares the machine with the servers.

use std::io::{self, ErrorKind, Read, Write};
use std::iter;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::herd::Watched;

/// Connected clients.
pub(super) struct Load {
    pace: Pace,
    doors: Vec<Door>,
    buffer: Vec<u8>,
}

/// How many reports a second, and to how many servers.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub(super) rate: u32,
    pub(super) doors: usize,
}

impl Pace {
    /// How many reports are due at once: one, or as many for each server.
    fn burst(self) -> u64 {
        match u64::from(self.rate).div_ceil(BURSTS) {
            1 => 1,
            several => several.next_multiple_of(self.doors as u64),
        }
    }

    /// Of the reports to one server, every how many-th is the last of its burst.
    pub(super) fn every(self) -> u64 {
        (self.burst() / self.doors as u64).max(1)
    }
}

/// What was offered in a while.
pub(super) struct Offered {
    pub(super) reports: u64,
    pub(super) begun: Instant,
    /// How late each burst left the load, in microseconds.
    pub(super) late: Vec<f64>,
}

impl Load {
    /// Clients of the servers at these addresses.
    pub(super) fn connect(pace: Pace, addresses: &[SocketAddr], watched: &[Watched]) -> Self {
        sleep_precisely();
        let doors = iter::zip(addresses, watched).map(|(address, watched)| Door::connect(*address, *watched)).collect();
        Self { pace, doors, buffer: vec![0; 64 * 1024] }
    }

    /// Says about as many reports as are due in this time (whole bursts, as many to each server), and waits until each is answered.
    pub(super) fn run(&mut self, time: Duration) -> Offered {
        let (burst, rate) = (self.pace.burst(), f64::from(self.pace.rate));
        let bursts = ((rate * time.as_secs_f64()) as u64 / burst).next_multiple_of(self.doors.len() as u64);
        let pause = Duration::from_secs_f64(burst as f64 / rate);
        let mut late = Vec::with_capacity(bursts as usize);
        let begun = Instant::now() + pause;
        let mut turn = 0;
        for index in 0..bursts {
            let due = begun + pause.mul_f64(index as f64);
            if let Some(left) = due.checked_duration_since(Instant::now()) {
                thread::sleep(left);
            }
            for _ in 0..burst {
                self.doors[turn].say(due);
                turn = (turn + 1) % self.doors.len();
            }
            self.doors.iter_mut().for_each(Door::write);
            late.push(due.elapsed().as_secs_f64() * 1e6);
            self.hear();
        }
        while self.doors.iter().any(|door| door.answered < door.said) {
            thread::sleep(pause);
            self.doors.iter_mut().for_each(Door::write);
            self.hear();
        }
        Offered { reports: burst * bursts, begun, late }
    }

    /// How many of the watched reports were said.
    pub(super) fn watched(&self) -> u64 {
        self.doors.iter().map(|door| door.due.len() as u64).sum()
    }

    /// When the watched reports were due, by server, in their order.
    pub(super) fn end(self) -> Vec<Vec<Instant>> {
        self.doors.into_iter().map(|door| door.due).collect()
    }

    fn hear(&mut self) {
        let Self { doors, buffer, .. } = self;
        doors.iter_mut().for_each(|door| door.read(buffer));
    }
}

/// The connection to a server.
struct Door {
    stream: TcpStream,
    watched: Watched,
    unsent: Vec<u8>,
    sent: usize,
    said: u64,
    answered: u64,
    due: Vec<Instant>,
}

impl Door {
    fn connect(address: SocketAddr, watched: Watched) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("it is TCP");
        stream.set_nonblocking(true).expect("a socket");
        Self { stream, watched, unsent: Vec::new(), sent: 0, said: 0, answered: 0, due: Vec::new() }
    }

    fn say(&mut self, due: Instant) {
        self.watched.reports.write(&mut self.unsent, self.said);
        self.said += 1;
        if self.said.is_multiple_of(self.watched.every) {
            self.due.push(due);
        }
    }

    fn write(&mut self) {
        while self.sent < self.unsent.len() {
            match self.stream.write(&self.unsent[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) => return not_now(error),
            }
        }
        self.unsent.clear();
        self.sent = 0;
    }

    fn read(&mut self, buffer: &mut [u8]) {
        while self.answered < self.said {
            match self.stream.read(buffer) {
                Ok(0) => panic!("the server has closed"),
                Ok(count) => {
                    assert!(!buffer[..count].contains(&b'?'), "{}", String::from_utf8_lossy(&buffer[..count]));
                    self.answered += buffer[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
                    if count < buffer.len() {
                        return;
                    }
                }
                Err(error) => return not_now(error),
            }
        }
    }
}

fn not_now(error: io::Error) {
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
}

/// Has the system wake this process's first thread, which is the load's, when it wants to be woken: by itself it adds 50
/// microseconds. Where it cannot be told, the load is later, and says so.
fn sleep_precisely() {
    let _ = std::fs::write("/proc/self/timerslack_ns", "1");
}

/// The most bursts in a second.
const BURSTS: u64 = 2_000;
