//! The server that is asked: alone, on a thread and a core of its own.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::Remote;
use proxy_herd::server::{Provider, Servers, Style};

use crate::common::cores::{Core, pin};
use crate::common::goloman::goloman_with;
use crate::common::loopback::{address, bind};
use crate::common::pairs::Thread;

/// A server.
pub(crate) struct Server {
    clients: SocketAddr,
    remote: Remote<Servers>,
    thread: Thread,
    handle: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(places: Provider, style: Style) -> Self {
        let listener = bind();
        let clients = address(&listener);
        let (sender, started) = mpsc::channel();
        let handle = thread::spawn(move || {
            pin(Core::First);
            let mut event_loop = goloman_with(places, style, clients);
            let mut sockets = Sockets::new().expect("descriptors");
            sockets.provide(listener);
            let remote = event_loop.enter(|event_loop, _| event_loop.remote());
            sender.send((remote, Thread::current())).expect("somebody waits");
            sockets.run(&mut event_loop).expect("a poll");
        });
        let (remote, thread) = started.recv().expect("it starts");
        Self { clients, remote, thread, handle }
    }

    /// Where it listens for clients.
    pub(crate) fn clients(&self) -> SocketAddr {
        self.clients
    }

    /// Who does its work.
    pub(crate) fn thread(&self) -> &Thread {
        &self.thread
    }

    pub(crate) fn end(self) {
        self.remote.call_soon_threadsafe(|event_loop, _| event_loop.stop()).expect("it runs");
        self.handle.join().expect("it does not panic");
    }
}
