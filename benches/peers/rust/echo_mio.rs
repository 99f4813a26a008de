//! An echo server on mio: the least that is correct, as the one in C is.
//!
//! `echo_mio PORT` (0: any; it says which). Registered once with both interests; a read that does not fill the buffer has emptied
//! the socket, unless the end may be behind it. What a socket does not take is kept, and its client is not read from until it is
//! gone.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Ipv4Addr;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port).into())?;
    println!("listening on {}", listener.local_addr()?.port());
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let mut clients = Slab::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == LISTENER {
                greet(&listener, &poll, &mut clients)?;
            } else if serve(&mut clients[event.token().0], event, &mut buffer).is_err() {
                clients.remove(event.token().0);
            }
        }
    }
}

/// A client, and what its socket has not taken yet.
struct Client {
    stream: TcpStream,
    kept: Vec<u8>,
}

fn greet(listener: &TcpListener, poll: &Poll, clients: &mut Slab<Client>) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        let entry = clients.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(entry.key()), both)?;
        entry.insert(Client { stream, kept: Vec::new() });
    }
}

/// Says what it hears. An error: it is gone, or has said and heard all.
fn serve(client: &mut Client, event: &Event, buffer: &mut [u8]) -> io::Result<()> {
    // With the end there may come no other event; and where reading was paused, events were passed over.
    let mut until_dry = event.is_read_closed() || event.is_error();
    if !client.kept.is_empty() {
        let sent = say(&mut client.stream, &client.kept)?;
        client.kept.drain(..sent);
        if !client.kept.is_empty() {
            return Ok(());
        }
        client.kept = Vec::new();
        until_dry = true;
    }
    loop {
        let count = match client.stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let sent = say(&mut client.stream, &buffer[..count])?;
        if sent < count {
            client.kept = buffer[sent..count].to_vec();
            return Ok(());
        }
        if count < buffer.len() && !until_dry {
            return Ok(());
        }
    }
}

/// Sends what the socket takes; how much that is.
fn say(stream: &mut TcpStream, data: &[u8]) -> io::Result<usize> {
    match stream.write(data) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        sent => sent,
    }
}

const LISTENER: Token = Token(usize::MAX - 1);
