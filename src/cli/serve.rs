//! Servers in the foreground, until a signal: what `run` and `up` have in common.
//!
//! SIGTERM and SIGINT drain, a second one exits at once; SIGHUP reads the topology's neighbours and the keys of links again, and only
//! those; SIGUSR1 opens the logs again. Sockets that were inherited are listened on. The log is flushed at the end of each turn.

use std::process;
use std::time::{Instant, SystemTime};

use log::Log;

use super::logs::Logs;
use super::{Failure, Options, inherited, settings, tell};
use crate::driver::Sockets;
use crate::event_loop::{EventLoop, Loop, Signal};
use crate::herd::name::ServerName;
use crate::herd::topology::{Server, Topology};
use crate::server::Servers;

/// Serves as the servers `names` of the topology, which has them all.
pub(super) fn serve(options: &Options, topology: &Topology, names: Vec<ServerName>) -> Result<(), Failure> {
    let provider = settings::provider(topology.places())?;
    let keys = settings::keys(topology, &names)?;
    let servers = Servers::new(topology, &names, provider, settings::seed()?).with_style(options.style).with_keys(keys);
    let mut sockets = Sockets::new().map_err(Failure::of_system)?;
    let served: Vec<_> = names.iter().filter_map(|name| topology.find(name)).collect();
    inherited::provide(&mut sockets, &served)?;
    let logs = settings::logs(options, &names)?.install(options.level());

    let mut event_loop = EventLoop::new(servers, Instant::now(), SystemTime::now());
    let mut greeting = Some(greeting(&served));
    event_loop.enter(|event_loop, servers| {
        for signal in [Signal::Terminate, Signal::Interrupt] {
            event_loop.add_signal_handler(signal, |event_loop, servers| stop(event_loop, servers, logs));
        }
        event_loop.add_signal_handler(Signal::User1, |_, _| logs.reopen());
        let file = options.topology.clone();
        let names = names.clone();
        event_loop.add_signal_handler(Signal::Hangup, move |event_loop, servers| {
            let topology = settings::topology_again(file.as_deref(), &names);
            match topology.and_then(|topology| settings::keys(&topology, &names).map(|keys| (topology, keys))) {
                Ok((topology, keys)) => servers.set_topology(event_loop, &topology, keys),
                Err(failure) => log_lines(&failure),
            }
        });
        servers.start(event_loop);
        // After the hook of the streams, where they are started: what tasks log leaves in the same turn.
        event_loop.before_sleep(move |_, servers| {
            logs.flush();
            if servers.is_listening()
                && let Some(greeting) = greeting.take()
            {
                tell(&greeting);
            }
        });
    });
    let result = sockets.run(&mut event_loop);
    logs.flush();
    result.map_err(Failure::of_system)?;
    match event_loop.state().failure() {
        None => Ok(()),
        Some(why) => Err(Failure::Failed(why.to_owned())),
    }
}

fn stop(event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, logs: &Logs) {
    if servers.is_draining() {
        log::warn!("is told to stop a second time: exits at once");
        logs.flush();
        process::exit(1);
    }
    servers.drain(event_loop);
}

/// A topology that was read again, or its keys, cannot be taken: each line of what is wrong is one of the log.
fn log_lines(failure: &Failure) {
    let why = failure.to_string();
    why.lines().for_each(|line| log::error!("{line}"));
    log::error!("the topology and the keys stay as they were");
}

/// Where the servers listen, and how to talk to the first.
fn greeting(servers: &[&Server]) -> String {
    let mut lines: Vec<String> =
        servers.iter().map(|server| format!("{} listens for clients on {}", server.name, server.clients)).collect();
    if let Some(first) = servers.first() {
        let (host, port) = (first.clients.ip(), first.clients.port());
        lines
            .push(format!("talk to {} from another terminal: printf '{EXAMPLE}\\n' | nc -N {host} {port}", first.name));
    }
    lines.join("\nproxy-herd: ")
}

const EXAMPLE: &str = "IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997";
