//! `proxy-herd demo`: a herd at work on free ports of this machine, every line shown.
//!
//! Servers, clients and the built-in places share one loop, and one thread makes its turns. Nothing sleeps: what has to happen first
//! (links, a report's way through the herd) is looked for between turns, with patience. Each reply is compared with what it
//! must be; the first that is not ends the demo with a failure.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use log::{LevelFilter, Log};

use super::client::{Client, Driven};
use super::iamat::now;
use super::{Failure, Options, settings};
use crate::herd::name::ServerName;
use crate::herd::report::Report;
use crate::herd::topology::{Server, Topology};
use crate::server::{Provider, Servers};
use crate::wire::escaped::Escaped;

/// Shows a herd at work; fails if a reply is not as it must be.
pub(super) fn demo(options: &Options) -> Result<(), Failure> {
    let (topology, listeners) = on_free_ports(settings::topology(options)?).map_err(Failure::of_system)?;
    let names: Vec<ServerName> = topology.servers().iter().map(|server| server.name.clone()).collect();
    let provider = Provider::embedded().map_err(|error| Failure::Failed(error.to_string()))?;
    let servers = Servers::new(&topology, &names, provider, settings::seed()?).with_style(options.style);
    let mut driven = Driven::new(servers.with_keys(settings::keys(&topology, &names)?))?;
    listeners.into_iter().for_each(|listener| driven.sockets.provide(listener));

    // On a terminal the log would stand between the lines of the conversation.
    let level = if options.log_dir.is_none() && !options.verbose { LevelFilter::Error } else { options.level() };
    let logs = settings::logs(options, &names)?.install(level);
    driven.event_loop.enter(|event_loop, servers| {
        servers.start(event_loop);
        // After the hook of the streams, where they are started: what tasks log leaves in the same turn.
        event_loop.before_sleep(|_, _| logs.flush());
    });

    let result = Demo { topology, driven }.show();
    logs.flush();
    result
}

struct Demo {
    topology: Topology,
    driven: Driven<Servers>,
}

impl Demo {
    fn show(mut self) -> Result<(), Failure> {
        self.wait_for_links()?;
        print(&format!("{}; the demo takes the built-in data\n", self.topology))?;

        let (near, far, links) = farthest(&self.topology);
        let (near, far) = (near.clone(), far.clone());
        print(&format!("A client tells {} where it is; {} is {links} links away.", near.name, far.name))?;
        let report = self.tell_where(&near)?;
        self.wait_for_report(&far, &report)?;

        print(&format!("\n{} knows it, and what is near:", far.name))?;
        self.ask_what_is_near(&far, &report)?;

        print("\nWhat is no command comes back:")?;
        let line = b"WHEREIS kiwi.cs.ucla.edu ?\n";
        let mut client = Client::connect(&mut self.driven, &near)?;
        self.say(&mut client, &near, line, &|reply| reply == [b"? ", line.as_slice()].concat())?;

        print("\nA report that is not newer is answered, and changes nothing:")?;
        let old = format!("IAMAT {CLIENT} +60.169800+24.938200 1520023934.918963997\n");
        let text = |reply: &[u8]| reply.ends_with(b" kiwi.cs.ucla.edu +60.169800+24.938200 1520023934.918963997\n");
        self.say(&mut client, &near, old.as_bytes(), &text)?;
        client.leave(&mut self.driven)?;
        if self.known_at(&near) != Some(report.clone()) {
            return Err(Failure::Failed(format!("{} has forgotten the newer report", near.name)));
        }

        print("\nA client that ends with half a line is answered before the connection is closed:")?;
        let mut client = Client::connect(&mut self.driven, &far)?;
        let line = format!("IAMAT half.line.example +60.169800+24.938200 {}", now());
        client.say(&mut self.driven, line.as_bytes());
        client.finish(&mut self.driven);
        self.show_reply(&mut client, &far, line.as_bytes(), &|reply| reply.starts_with(b"AT "))?;
        client.leave(&mut self.driven)?;

        self.stop()?;
        print("\nThat is all. To run the herd: proxy-herd up")
    }

    fn wait_for_links(&mut self) -> Result<(), Failure> {
        let topology = &self.topology;
        let is_linked = |servers: &Servers, server: &Server| {
            servers.links_up(&server.name) == Some(topology.neighbours(&server.name).count())
        };
        let all = |servers: &Servers| {
            let ready = servers.is_listening() && topology.servers().iter().all(|server| is_linked(servers, server));
            ready.then_some(())
        };
        let linked = self.driven.wait(PATIENCE, all)?;
        linked.ok_or_else(|| Failure::Failed(format!("the servers are not linked after {PATIENCE:?}; -v tells why")))
    }

    /// An IAMAT; the report that came of it, as a line without `\n`.
    fn tell_where(&mut self, server: &Server) -> Result<Vec<u8>, Failure> {
        let mut client = Client::connect(&mut self.driven, server)?;
        let timestamp = now();
        let line = format!("IAMAT {CLIENT} {POSITION} {timestamp}\n");
        let is_right = |reply: &[u8]| {
            reply.strip_suffix(b"\n").and_then(Report::parse).is_some_and(|report| {
                let end = format!(" {CLIENT} {POSITION} {timestamp}");
                report.origin() == server.name.as_str().as_bytes() && report.line().ends_with(end.as_bytes())
            })
        };
        let mut reply = self.say(&mut client, server, line.as_bytes(), &is_right)?;
        client.leave(&mut self.driven)?;
        reply.pop();
        Ok(reply)
    }

    /// Waits until a report has come to a server through the herd.
    fn wait_for_report(&mut self, server: &Server, report: &[u8]) -> Result<(), Failure> {
        let knows = |servers: &Servers| (known(servers, server).as_deref() == Some(report)).then_some(());
        let came = self.driven.wait(PATIENCE, knows)?;
        came.ok_or_else(|| Failure::Failed(format!("the report has not come to {} after {PATIENCE:?}", server.name)))
    }

    fn known_at(&self, server: &Server) -> Option<Vec<u8>> {
        known(self.driven.event_loop.state(), server)
    }

    fn ask_what_is_near(&mut self, server: &Server, report: &[u8]) -> Result<(), Failure> {
        let mut client = Client::connect(&mut self.driven, server)?;
        let line = format!("WHATSAT {CLIENT} 10 3\n");
        let is_right = |reply: &[u8]| {
            let json = reply.strip_prefix(report).and_then(|rest| rest.strip_suffix(b"\n\n"));
            let json = json.and_then(|json| serde_json::from_slice::<serde_json::Value>(json).ok());
            json.is_some_and(|json| {
                json["status"] == "OK" && json["results"].as_array().is_some_and(|all| all.len() == 3)
            })
        };
        self.say(&mut client, server, line.as_bytes(), &is_right)?;
        client.leave(&mut self.driven)
    }

    /// Says a line and shows it and its reply, which must be right.
    fn say(
        &mut self,
        client: &mut Client,
        server: &Server,
        line: &[u8],
        is_right: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, Failure> {
        client.say(&mut self.driven, line);
        self.show_reply(client, server, line, is_right)
    }

    fn show_reply(
        &mut self,
        client: &mut Client,
        server: &Server,
        line: &[u8],
        is_right: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, Failure> {
        let name = &server.name;
        print(&format!("client -> {name}  {}", Escaped(line.strip_suffix(b"\n").unwrap_or(line))))?;
        let reply = client.reply(&mut self.driven, line)?.unwrap_or_default();
        for line in reply.trim_ascii_end().split(|byte| *byte == b'\n') {
            print(&format!("client <- {name}  {}", String::from_utf8_lossy(line)))?;
        }
        if is_right(&reply) { Ok(reply) } else { Err(Failure::Failed(format!("this reply of {name} is not right"))) }
    }

    fn stop(&mut self) -> Result<(), Failure> {
        self.driven.event_loop.enter(|event_loop, servers| servers.drain(event_loop));
        self.driven.sockets.run(&mut self.driven.event_loop).map_err(Failure::of_system)
    }
}

/// What a server knows of the demo's client.
fn known(servers: &Servers, server: &Server) -> Option<Vec<u8>> {
    let report = servers.node(&server.name)?.directory().find(CLIENT.as_bytes())?;
    Some(report.line().to_vec())
}

/// The herd on ports that the system chooses, and the sockets that hold them.
fn on_free_ports(topology: Topology) -> io::Result<(Topology, Vec<TcpListener>)> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let doors = topology.servers().len() * 2;
    let listeners = (0..doors).map(|_| TcpListener::bind(anywhere)).collect::<io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let mut pairs = addresses.chunks_exact(2);
    let topology = topology.with_addresses(|_| match pairs.next() {
        Some(&[clients, peers]) => (clients, peers),
        _ => unreachable!("there are two for each server"),
    });
    Ok((topology, listeners))
}

/// The two servers with the most links between them, and how many.
fn farthest(topology: &Topology) -> (&Server, &Server, usize) {
    let pairs = topology.servers().iter().map(|start| {
        let (end, links) = farthest_from(topology, start);
        (start, end, links)
    });
    pairs.max_by_key(|(.., links)| *links).expect("a topology has a server")
}

fn farthest_from<'a>(topology: &'a Topology, start: &'a Server) -> (&'a Server, usize) {
    let mut seen = vec![(start, 0)];
    let mut waiting = VecDeque::from(seen.clone());
    while let Some((server, links)) = waiting.pop_front() {
        for neighbour in topology.neighbours(&server.name) {
            if seen.iter().all(|(known, _)| known.name != neighbour.name) {
                seen.push((neighbour, links + 1));
                waiting.push_back((neighbour, links + 1));
            }
        }
    }
    *seen.last().expect("the start was seen")
}

fn print(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}").map_err(Failure::of_output)
}

const CLIENT: &str = "kiwi.cs.ucla.edu";
const POSITION: &str = "+34.068930-118.445127";

/// How long links and reports may take; on one machine it is a matter of milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
