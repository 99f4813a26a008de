//! Load: a client at each server that reports and asks without a pause, connects again when it is left, and writes down what it was told.
//!
//! A client holds one conversation after the other. Each has names of its own for those it reports of, a few, in turns, with
//! rising timestamps: so of every name it is known which reports were sent, and which of them were acknowledged.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crate::command::{Herd, PATIENCE, until};
use crate::known::known;

/// Clients at work; they stop when this is dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Vec<Talk>>>,
}

/// What a client and the test both see.
struct Shared {
    is_over: AtomicBool,
    /// How many replies each client has had.
    replies: Vec<AtomicU64>,
}

/// One conversation, from the connection's beginning to its end.
pub(crate) struct Talk {
    /// Whom it was held with.
    pub(crate) server: String,
    /// What the names in it begin with.
    pub(crate) prefix: String,
    sent: u64,
    /// How many reports were acknowledged.
    pub(crate) answered: u64,
    /// How many questions were answered.
    pub(crate) questions: u64,
    /// How it ended: in good order unless there is an error.
    pub(crate) error: Option<io::Error>,
}

/// What happens to a client whose connection is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusals {
    /// It tries again.
    Endured,
    /// The test fails.
    Wrong,
}

impl Load {
    /// A client at each of these servers.
    pub(crate) fn new(herd: &Herd, servers: &[&str], refusals: Refusals) -> Self {
        let replies = servers.iter().map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared { is_over: AtomicBool::new(false), replies });
        let client = |(index, server): (usize, &&str)| {
            let (server, address, shared) = (server.to_string(), herd.clients(server), Arc::clone(&shared));
            thread::spawn(move || {
                let mut talks = Vec::new();
                while !shared.is_over.load(Ordering::Relaxed) {
                    let prefix = format!("{server}.{}", talks.len());
                    let mut talk =
                        Talk { server: server.clone(), prefix, sent: 0, answered: 0, questions: 0, error: None };
                    talk.error = talk.hold(address, refusals, &shared, &shared.replies[index]).err();
                    talks.push(talk);
                }
                talks
            })
        };
        let clients = servers.iter().enumerate().map(client).collect();
        Self { shared, clients }
    }

    /// Waits until each client has had `more` replies from now on.
    #[track_caller]
    pub(crate) fn go_on(&self, more: u64) {
        let count = || self.shared.replies.iter().map(|replies| replies.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let before = count();
        until(|| {
            assert!(self.clients.iter().all(|client| !client.is_finished()), "a client has failed");
            count().iter().zip(&before).all(|(now, before)| *now >= before + more).then_some(())
        });
    }

    /// Stops, and hands out what was said.
    pub(crate) fn stop(mut self) -> Vec<Talk> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.clients.drain(..).flat_map(|client| client.join().expect("a client does not fail")).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

impl Talk {
    fn hold(
        &mut self,
        address: SocketAddr,
        refusals: Refusals,
        shared: &Shared,
        replies: &AtomicU64,
    ) -> io::Result<()> {
        let mut stream = until(|| match TcpStream::connect(address) {
            Ok(stream) => Some(stream),
            Err(error) => {
                assert_eq!(refusals, Refusals::Endured, "{}: {error}", self.server);
                None
            }
        });
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut input = BufReader::new(stream.try_clone()?);
        loop {
            if shared.is_over.load(Ordering::Relaxed) {
                stream.shutdown(Shutdown::Write)?;
                let mut rest = String::new();
                assert_eq!(input.read_to_string(&mut rest)?, 0, "{rest}");
                return Ok(());
            }
            let mut lines: String = (0..BATCH).map(|_| self.next_line()).collect();
            lines += &format!("WHATSAT {}-{} 1 1\n", self.prefix, (self.sent - 1) % NAMES);
            // What was answered before is read even if this cannot be sent any more.
            let _ = stream.write_all(lines.as_bytes());
            for _ in 0..BATCH {
                let Some(reply) = read_line(&mut input)? else { return Ok(()) };
                self.check_report(&reply, self.answered);
                self.answered += 1;
                replies.fetch_add(1, Ordering::Relaxed);
            }
            let Some(report) = read_line(&mut input)? else { return Ok(()) };
            self.check_report(&report, self.answered - 1);
            self.questions += 1;
            while read_line(&mut input)?.expect("the places end with an empty line") != "\n" {}
        }
    }

    #[track_caller]
    fn check_report(&self, report: &str, number: u64) {
        let (start, end) = (format!("AT {} ", self.server), end_of_line(&self.prefix, number));
        assert!(report.starts_with(&start) && report.ends_with(&end), "not {start}...{end}: {report}");
    }

    fn next_line(&mut self) -> String {
        self.sent += 1;
        format!("IAMAT{}", end_of_line(&self.prefix, self.sent - 1))
    }

    /// Of each name that was acknowledged: the last report that was, and the last that was sent.
    fn names(&self) -> impl Iterator<Item = (String, [u64; 2])> {
        let last = |of: u64, name: u64| of - 1 - (of - 1 - name) % NAMES;
        let each = move |name| (format!("{}-{name}", self.prefix), [self.answered, self.sent].map(|of| last(of, name)));
        (0..NAMES.min(self.answered)).map(each)
    }
}

/// Waits until every server holds what the clients were told, or what they have sent since of the same name, and all the same.
#[track_caller]
pub(crate) fn until_in_step(herd: &Herd, servers: &[&str], talks: &[Talk]) {
    let promised: BTreeMap<String, [u64; 2]> = talks.iter().flat_map(Talk::names).collect();
    assert!(!promised.is_empty(), "the clients were answered");
    let names: Vec<String> = promised.keys().cloned().collect();
    let is_kept = |report: &Option<String>, [acknowledged, sent]: [u64; 2]| {
        let timestamp = report.as_ref().and_then(|report| report.split(' ').next_back()?.parse().ok());
        timestamp.is_some_and(|timestamp: u64| (acknowledged..=sent).contains(&timestamp))
    };
    let mut reports = servers.iter().map(|server| {
        until(|| {
            let reports = known(herd.clients(server), &names);
            reports.iter().zip(promised.values()).all(|(report, range)| is_kept(report, *range)).then_some(reports)
        })
    });
    let first = reports.next().expect("a server at least");
    for (other, name) in reports.zip(&servers[1..]) {
        assert_eq!(first, other, "{} and {name} hold the same", servers[0]);
    }
}

/// The next line, whole; `None` at the end.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    assert!(line.is_empty() || line.ends_with('\n'), "half a line: {line}");
    Ok(Some(line).filter(|line| !line.is_empty()))
}

/// The end of a line about report `number` of a conversation.
fn end_of_line(prefix: &str, number: u64) -> String {
    format!(" {prefix}-{} +60.17+24.94 {number}\n", number % NAMES)
}

/// How many names there are in a conversation.
const NAMES: u64 = 40;

/// How many reports are sent at a time; a question follows them.
const BATCH: u64 = 4;
