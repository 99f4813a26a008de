//! Strangers in groups, each group on a thread of its own, who do to a server whatever a socket can do.
//!
//! Their sockets never block. What comes of it is the server's business: a stranger whose call fails is gone.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use proxy_herd::event_loop::{Address, Remote, Security};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::protocols::Chaos;

/// Some strangers, and where they go.
pub(crate) struct Group {
    dice: fastrand::Rng,
    doors: Vec<Address>,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    present: Vec<Stranger>,
}

struct Stranger {
    socket: Socket,
    /// Who speaks TLS does it as far as the dice let it.
    tls: Option<ClientConnection>,
    unsent: Vec<u8>,
}

impl Group {
    pub(crate) fn new(seed: u64, doors: Vec<Address>, security: Security) -> Self {
        let Security::Tls(config, name) = security else { unreachable!("they can speak TLS") };
        Self { dice: fastrand::Rng::with_seed(seed), doors, config, name, present: Vec::new() }
    }

    /// They come, act and go, and call the loop from their thread; some are still there afterwards.
    pub(crate) fn storm(&mut self, remote: &Remote<Chaos>) {
        for step in 0..STEPS {
            if step % STEPS_IN_A_TURN == 0 {
                // Or they would be done before the loop has looked.
                let (say, hear) = channel();
                let call = remote.call_soon_threadsafe(move |event_loop, chaos| {
                    chaos.act(event_loop, None);
                    say.send(()).expect("it is waited for");
                });
                call.expect("the loop lives");
                hear.recv().expect("it is called");
            }

            if self.present.len() < MOST && self.dice.u8(0..4) == 0 {
                let storm = if self.dice.u8(0..50) == 0 { 30 } else { 1 };
                for _ in 0..storm {
                    // There may be no descriptors, or nobody listens.
                    let _ = self.come();
                }
            } else if !self.present.is_empty() {
                let chosen = self.dice.usize(..self.present.len());
                let stays = self.present[chosen].act(&mut self.dice);
                if !stays.unwrap_or(false) {
                    self.present.swap_remove(chosen);
                }
            }
        }
    }

    /// They say nothing more and listen until they have heard all.
    pub(crate) fn hear_all(&mut self, _: &Remote<Chaos>) {
        for stranger in &self.present {
            // It may have been reset.
            let _ = stranger.socket.shutdown(Shutdown::Write);
        }
        for Stranger { mut socket, .. } in self.present.drain(..) {
            socket.set_nonblocking(false).and_then(|()| socket.set_read_timeout(Some(PATIENCE))).expect("a socket");
            // Who was reset has heard all that there was to hear.
            if let Err(error) = io::copy(&mut socket, &mut io::sink()) {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "a stranger was forgotten");
            }
        }
    }

    /// They go, in good order or not.
    pub(crate) fn go(&mut self, _: &Remote<Chaos>) {
        for stranger in self.present.drain(..) {
            if self.dice.bool() {
                // It may be reset already.
                let _ = stranger.socket.set_linger(Some(Duration::ZERO));
            }
        }
    }

    fn come(&mut self) -> io::Result<()> {
        let door = self.dice.usize(..self.doors.len());
        let (domain, address) = match &self.doors[door] {
            Address::Ip(address) => (Domain::for_address(*address), (*address).into()),
            Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        };
        let socket = Socket::new(domain, Type::STREAM, None)?;
        if self.dice.bool() {
            // So that the server has to wait until it reads.
            socket.set_recv_buffer_size(4096)?;
        }
        socket.connect(&address)?;
        socket.set_nonblocking(true)?;
        // At either kind of door: a server may start TLS where it began without.
        let speaks_tls = self.dice.bool();
        let tls = speaks_tls
            .then(|| ClientConnection::new(Arc::clone(&self.config), self.name.clone()))
            .map(|connection| connection.expect("the configuration is good"));
        self.present.push(Stranger { socket, tls, unsent: Vec::new() });
        Ok(())
    }
}

impl Stranger {
    /// Does something; false if it leaves.
    fn act(&mut self, dice: &mut fastrand::Rng) -> io::Result<bool> {
        match dice.u8(0..100) {
            0 if dice.bool() => return Ok(false),
            1 if dice.bool() => {
                self.socket.set_linger(Some(Duration::ZERO))?;
                return Ok(false);
            }
            2 => self.socket.shutdown(Shutdown::Write)?,
            3 => self.socket.shutdown(Shutdown::Read)?,
            4 | 5 => drop(self.socket.send_out_of_band(&[7])),
            6 => self.unsent.extend([7; 300]),
            7 => self.say(&[7; 200_000])?,
            8..20 => self.say(&vec![7; dice.usize(1..2000)])?,
            20..60 => return self.hear(dice),
            _ => self.send(dice)?,
        }
        Ok(true)
    }

    fn say(&mut self, words: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => drop(tls.writer().write(words)?),
            None if self.unsent.len() < words.len() => self.unsent.extend(words),
            None => {}
        }
        Ok(())
    }

    /// Sends a piece of what there is.
    fn send(&mut self, dice: &mut fastrand::Rng) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.unsent)?;
            }
        }
        let most = if dice.bool() { self.unsent.len() } else { dice.usize(0..=self.unsent.len()) };
        let count = when_possible(self.socket.write(&self.unsent[..most]))?;
        self.unsent.drain(..count);
        Ok(())
    }

    /// Hears something; false if that was the end.
    fn hear(&mut self, dice: &mut fastrand::Rng) -> io::Result<bool> {
        let mut heard = vec![0; dice.usize(1..100_000)];
        let count = match self.socket.read(&mut heard) {
            Ok(0) => return Ok(false),
            outcome => when_possible(outcome)?,
        };
        if let Some(tls) = &mut self.tls {
            let mut wire = &heard[..count];
            while !wire.is_empty() {
                tls.read_tls(&mut wire)?;
                tls.process_new_packets().map_err(io::Error::other)?;
                let _ = io::copy(&mut tls.reader(), &mut io::sink());
            }
        }
        Ok(true)
    }
}

fn when_possible(outcome: io::Result<usize>) -> io::Result<usize> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        outcome => outcome,
    }
}

/// How much a group does.
const STEPS: usize = 3000;

/// How much of it before the loop has had a turn.
const STEPS_IN_A_TURN: usize = 20;

/// How many of a group are there at once; a storm may bring a few more.
const MOST: usize = 40;

/// Too long for anything, and less than the loop's own patience: nobody shall be saved by that.
const PATIENCE: Duration = Duration::from_secs(8);
