//! A client that says where it is, again and again: what it feels of what else a server does.
//!
//! It is on the last core. Whoever else works there, and would not in truth, should let it go first.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::cores::{Core, pin};

/// The client.
pub(crate) struct Probe {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Latency>>,
}

/// One IAMAT.
pub(crate) struct Latency {
    /// When it was to be said.
    pub(crate) due: Instant,
    /// How long after that it was answered.
    pub(crate) microseconds: f64,
}

impl Probe {
    /// Begins; a thread of its own.
    pub(crate) fn start(server: SocketAddr) -> Self {
        let (stop, stopped) = mpsc::channel();
        let stream = TcpStream::connect(server).expect("it listens");
        stream.set_nodelay(true).expect("it is TCP");
        let thread = thread::spawn(move || {
            pin(Core::Last);
            watch(stream, &stopped)
        });
        Self { stop, thread }
    }

    /// Ends. All that was said since it began.
    pub(crate) fn stop(self) -> Vec<Latency> {
        drop(self.stop);
        self.thread.join().expect("it does not panic")
    }
}

fn watch(mut stream: TcpStream, stopped: &Receiver<()>) -> Vec<Latency> {
    let (mut latencies, mut answer) = (Vec::new(), vec![0; 4096]);
    let mut due = Instant::now();
    for number in 0.. {
        if stopped.try_recv() == Err(TryRecvError::Disconnected) {
            break;
        }
        let now = Instant::now();
        if now < due {
            thread::sleep(due - now);
            // That the system wakes us late is not the server's fault; that it answered the last one late is.
            due = Instant::now();
        }
        let line = format!("IAMAT probe +34.068930-118.445127 1520023934.{number:09}\n");
        stream.write_all(line.as_bytes()).expect("it reads");
        let mut count = 0;
        while !answer[..count].ends_with(b"\n") {
            count += stream.read(&mut answer[count..]).expect("an answer");
        }
        latencies.push(Latency { due, microseconds: due.elapsed().as_secs_f64() * 1e6 });
        due += EVERY;
    }
    latencies
}

/// How often it says where it is.
const EVERY: Duration = Duration::from_millis(1);
