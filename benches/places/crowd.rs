//! The clients that ask, on one thread: each has said where it is, and knows what it is to be told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::questions::{Asked, BOUND, RADIUS_KM};

/// Connected clients.
pub(crate) struct Crowd(Vec<Member>);

struct Member {
    stream: BufReader<TcpStream>,
    name: String,
    /// Where it is, and since when: the end of its IAMAT, and of what answers that.
    place: String,
    /// The whole reply to WHATSAT about it.
    reply: Vec<u8>,
}

impl Crowd {
    /// As many as there are questions.
    pub(crate) fn connect(server: SocketAddr, asked: Vec<Asked>) -> Self {
        let members = asked.into_iter().enumerate().map(|(number, asked)| Member::connect(server, number, asked));
        Self(members.collect())
    }

    /// Each asks what is near itself, and says where it is behind that: both are answered, in this order.
    pub(crate) fn ask_different(&mut self) {
        for Member { stream, name, place, .. } in &mut self.0 {
            say(stream, &format!("WHATSAT {name} {RADIUS_KM} {BOUND}\nIAMAT {name} {place}"));
        }
        for Member { stream, name, place, reply } in &mut self.0 {
            hear(stream, reply);
            hear_at(stream, name, place);
        }
    }

    /// The first `count` ask what is near the first one.
    pub(crate) fn ask_same(&mut self, count: usize) {
        let (name, reply) = (self.0[0].name.clone(), self.0[0].reply.clone());
        for Member { stream, .. } in &mut self.0[..count] {
            say(stream, &format!("WHATSAT {name} {RADIUS_KM} {BOUND}\n"));
        }
        for Member { stream, .. } in &mut self.0[..count] {
            hear(stream, &reply);
        }
    }
}

impl Member {
    fn connect(server: SocketAddr, number: usize, asked: Asked) -> Self {
        let stream = TcpStream::connect(server).expect("it listens");
        stream.set_nodelay(true).expect("it is TCP");
        let mut stream = BufReader::new(stream);
        let (name, place) = (format!("crowd-{number:04}"), format!("{} 1520023934.918963997\n", asked.position));
        say(&mut stream, &format!("IAMAT {name} {place}"));
        let mut reply = hear_at(&mut stream, &name, &place).into_bytes();
        reply.extend_from_slice(&asked.answer);
        Self { stream, name, place, reply }
    }
}

fn say(stream: &mut BufReader<TcpStream>, text: &str) {
    stream.get_mut().write_all(text.as_bytes()).expect("it reads");
}

fn hear(stream: &mut BufReader<TcpStream>, reply: &[u8]) {
    let mut heard = vec![0; reply.len()];
    stream.read_exact(&mut heard).expect("a reply");
    assert!(heard == reply, "another reply: {}", String::from_utf8_lossy(&heard));
}

/// An AT line of that client at that place. It is given back.
fn hear_at(stream: &mut BufReader<TcpStream>, name: &str, place: &str) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("a reply");
    assert!(line.starts_with("AT ") && line.ends_with(&format!(" {name} {place}")), "another reply: {line}");
    line
}
