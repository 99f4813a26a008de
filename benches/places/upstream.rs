//! The stand-in for Places behind TLS, on a thread of its own, and how often it is asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use log::Level;
use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{AfterEof, EventLoop, Loop, Lost, Protocol, Remote, Transport};
use proxy_herd::herd::topology::{self, Places, Url};
use proxy_herd::places::api::Api;
use proxy_herd::places::faults::Faults;
use proxy_herd::places::key::Key;
use proxy_herd::server::{Identity, Provider, Standin};

use crate::common::cores::{Core, pin, step_back};
use crate::common::loopback::{address, bind};

/// The stand-in.
pub(crate) struct Upstream {
    provider: Provider,
    counts: Arc<Counts>,
    remote: Remote<Arc<Counts>>,
    handle: JoinHandle<()>,
}

/// What has come so far.
#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Upstream {
    /// One that is asked by `api`, and takes that long for each answer.
    pub(crate) fn start(api: Api, delay: Duration) -> Self {
        let identity = Identity::of_hosts(vec!["127.0.0.1".to_owned()], SystemTime::now()).expect("a certificate");
        let listener = bind();
        let (address, counts) = (address(&listener), Arc::new(Counts::default()));
        let provider = provider(api, address, delay, &identity);
        let state = Arc::clone(&counts);
        let (sender, started) = mpsc::channel();
        let handle = thread::spawn(move || {
            pin(Core::Last);
            step_back();
            let standin = Standin::new(Faults::default(), Level::Trace);
            let mut event_loop = EventLoop::new(state, Instant::now(), SystemTime::now());
            let mut sockets = Sockets::new().expect("descriptors");
            sockets.provide(listener);
            event_loop.enter(|event_loop, _| {
                event_loop.listen(address, identity.server(), move |_: &mut _| Counted(standin.conversation()));
                sender.send(event_loop.remote()).expect("somebody waits");
            });
            sockets.run(&mut event_loop).expect("a poll");
        });
        Self { provider, counts, remote: started.recv().expect("it starts"), handle }
    }

    /// For a server that asks it.
    pub(crate) fn provider(&self) -> Provider {
        self.provider.clone()
    }

    /// How many connections were made to it, and how many requests have come.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let Counts { connections, requests } = &*self.counts;
        (connections.load(Ordering::Relaxed), requests.load(Ordering::Relaxed))
    }

    pub(crate) fn end(self) {
        self.remote.call_soon_threadsafe(|event_loop, _| event_loop.stop()).expect("it runs");
        self.handle.join().expect("it does not panic");
    }
}

fn provider(api: Api, address: SocketAddr, delay: Duration, identity: &Identity) -> Provider {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, identity.certificate()).expect("written");
    let url = format!("https://{address}/faults/delay={}", delay.as_millis());
    let provider = match api {
        Api::Legacy => topology::Provider::Legacy,
        Api::New => topology::Provider::New,
    };
    let places =
        Places { provider, url: Some(Url::parse(&url).expect("a URL")), ca_file: Some(file), ..Places::default() };
    Provider::google(&places, Key::new("AIza-of-a-bench").expect("a key")).expect("the file is good")
}

/// A conversation whose requests are counted. They come whole: each is a record of TLS.
struct Counted<P>(P);

impl<P: Protocol<Arc<Counts>>> Protocol<Arc<Counts>> for Counted<P> {
    fn connection_made(&mut self, transport: &mut Transport<'_, Arc<Counts>>, counts: &mut Arc<Counts>) {
        counts.connections.fetch_add(1, Ordering::Relaxed);
        self.0.connection_made(transport, counts);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Arc<Counts>>, counts: &mut Arc<Counts>, data: &[u8]) {
        let requests = data.windows(END_OF_HEAD.len()).filter(|bytes| *bytes == END_OF_HEAD).count();
        counts.requests.fetch_add(requests, Ordering::Relaxed);
        self.0.data_received(transport, counts, data);
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Arc<Counts>>, counts: &mut Arc<Counts>) -> AfterEof {
        self.0.eof_received(transport, counts)
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Arc<Counts>>, counts: &mut Arc<Counts>) {
        self.0.resume_writing(transport, counts);
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Arc<Counts>>, counts: &mut Arc<Counts>) {
        self.0.timed_out(transport, counts);
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Arc<Counts>>, counts: &mut Arc<Counts>, lost: Lost) {
        self.0.connection_lost(event_loop, counts, lost);
    }
}

const END_OF_HEAD: &[u8] = b"\r\n\r\n";
