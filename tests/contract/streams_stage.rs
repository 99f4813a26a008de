//! Connections that are tasks, as a test sees them: actors, who do what they are told and note what comes of it.
//!
//! A conversation is a list of steps, each with all that the actor says to it. A step is
//!
//! - an order for the actor, as `read 5` or `write hello`: see [`Actor::obey`]; or for the server, `door`: see [`Stage::keep`];
//! - `> hello`, which the client sends; `FIN` and `RST`, with which it ends;
//! - `deaf` and `listen`: it reads no more, and again; `gulp`: what is there, and no more;
//! - `<`: what the client has heard since it was asked last, and how that has ended, if it has.
//!
//! After each step the world goes on until nothing more happens by itself: so what was sent has arrived.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{poll_fn, ready};
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use proxy_herd::event_loop::{Connect, Security, ServerSecurity, StartTls};
use proxy_herd::streams::{Either, Handle, Queue, ReadError, Server, StreamReader, StreamWriter, race};

use crate::recorder::Journal;
use crate::world::{Client, World, bytes, calmly, everywhere};

/// An executor, and the orders that its actors have not got yet.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) handle: Handle<Journal>,
    orders: Rc<RefCell<BTreeMap<String, Queue<String>>>>,
}

impl Stage {
    pub(crate) fn new(world: &mut dyn World) -> Self {
        Self { handle: world.enter(|event_loop, _| Handle::new(event_loop)), orders: Rc::default() }
    }

    /// Has the loop listen, for as long as it runs; its connections are actors, called `s1`, `s2`, ...
    pub(crate) fn serve(&self, world: &mut dyn World, security: ServerSecurity, start: Option<StartTls>) {
        let stage = self.clone();
        self.serve_with(world, security, move |reader, writer| stage.clone().act(None, reader, writer, start.clone()));
    }

    /// The same with another handler.
    pub(crate) fn serve_with<F>(
        &self,
        world: &mut dyn World,
        security: ServerSecurity,
        handler: impl FnMut(StreamReader, StreamWriter) -> F + 'static,
    ) where
        F: Future<Output = io::Result<()>> + 'static,
    {
        let (stage, address) = (self.clone(), world.address());
        world.open(address);
        self.spawn(async move {
            let server = stage.handle.start_server(address, security, handler).await.expect("the address is free");
            stage.keep(server).await;
        });
        world.quiet();
    }

    /// Does with a server what `door` is told: its methods, `also wait_closed`, `drop`.
    async fn keep(&self, server: Server<Journal>) {
        let orders = self.orders_for("door");
        let server = Rc::new(server);
        while let Some(order) = orders.get().await {
            let (verb, what) = order.split_once(' ').unwrap_or((&order, ""));
            match verb {
                "close" => server.close(),
                "close_clients" => server.close_clients(),
                "abort_clients" => server.abort_clients(),
                "shut_down" => server.shut_down(Duration::from_secs(what.parse().expect("a number"))),
                "wait_closed" => {
                    server.wait_closed().await;
                    self.note("door", "closed").await;
                }
                "also" => {
                    let (stage, server) = (self.clone(), Rc::clone(&server));
                    self.spawn(async move {
                        server.wait_closed().await;
                        stage.note("door", "also closed").await;
                    });
                }
                "drop" => return,
                _ => panic!("what is to be done with it? {order}"),
            }
        }
    }

    /// Has the loop connect to where it listens, as an actor of that name.
    pub(crate) fn dial(&self, world: &mut dyn World, who: &'static str, security: Security, start: Option<StartTls>) {
        let (stage, connect) = (self.clone(), Connect::to(world.address()).security(security));
        self.spawn(async move {
            match stage.handle.open_connection_with(connect).await {
                Ok((reader, writer)) => drop(stage.act(Some(who), reader, writer, start).await),
                Err(error) => stage.note(who, format!("failed {:?}", error.kind())).await,
            }
        });
        world.quiet();
    }

    /// Has a task run to its end.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.handle.spawn(task).detach();
    }

    pub(crate) async fn note(&self, who: &str, what: impl Into<String>) {
        let (who, what) = (who.to_owned(), what.into());
        self.handle.call(move |_, journal| journal.note(&who, what)).await;
    }

    /// Gives an order.
    pub(crate) fn tell(&self, who: &str, order: &str) {
        self.orders_for(who).try_put(order.to_owned()).expect("an actor listens without end");
    }

    /// Has a conversation of `client` with `who`.
    #[track_caller]
    pub(crate) fn play(&self, world: &mut dyn World, client: Client, who: &str, steps: &[(&str, &str)]) {
        for (step, expected) in steps {
            let before = world.journal().of(who).len();
            let said = if *step == "<" {
                heard(world, client)
            } else {
                if !lead(world, client, step) {
                    self.tell(who, step);
                }
                world.quiet();
                world.journal().of(who).split_off(before).join("; ")
            };
            assert_eq!(said, *expected, "{step} of {steps:#?}\n{:#?}\n{}", world.journal().all(), world.trace());
        }
    }

    /// Gives orders to several, `who: order`; each is said what one of them says to it, in the same way.
    #[track_caller]
    pub(crate) fn direct(&self, world: &mut dyn World, steps: &[(&str, &str)]) {
        for (step, expected) in steps {
            let before = world.journal().all().len();
            let (who, order) = step.split_once(": ").expect("who is to do what");
            self.tell(who, order);
            world.quiet();
            let said = world.journal().all().split_off(before).join("; ");
            assert_eq!(said, *expected, "{step} of {steps:#?}\n{:#?}\n{}", world.journal().all(), world.trace());
        }
    }

    /// Serves a connection as an actor, until it is told to end.
    pub(crate) async fn act(
        self,
        who: Option<&'static str>,
        reader: StreamReader,
        writer: StreamWriter,
        start: Option<StartTls>,
    ) -> io::Result<()> {
        let id = writer.id();
        let introduce = move |journal: &mut Journal| {
            let name = who.map_or_else(|| journal.next_name(), str::to_owned);
            journal.introduce(&name, id);
            name
        };
        let name = self.handle.call(move |_, journal| introduce(journal)).await;
        let orders = self.orders_for(&name);
        let mut actor = Actor { stage: self, name, reader: Some(reader), writer: Some(Rc::new(writer)), start };
        while let Some(order) = orders.get().await {
            match order.as_str() {
                "return" => break,
                "fail" => return Err(io::Error::other(WHY)),
                "panic" => panic!("{WHY}"),
                order => {
                    let said = actor.obey(order).await;
                    if !said.is_empty() {
                        actor.stage.note(&actor.name, said).await;
                    }
                }
            }
        }
        Ok(())
    }

    fn orders_for(&self, who: &str) -> Queue<String> {
        self.orders.borrow_mut().entry(who.to_owned()).or_insert_with(Queue::unbounded).clone()
    }
}

/// See the file's head.
struct Actor {
    stage: Stage,
    name: String,
    reader: Option<StreamReader>,
    writer: Option<Rc<StreamWriter>>,
    start: Option<StartTls>,
}

impl Actor {
    /// Does it; what came of it, if that is worth a word.
    ///
    /// Beside the methods: `bytes 1000` writes so many; `try read 5` gives up if it would have to wait; `for 5 read 5`, if it
    /// takes longer than 5 s; `also drain` has another task do it; `drop reader`, `drop writer`.
    async fn obey(&mut self, order: &str) -> String {
        let (verb, what) = order.split_once(' ').unwrap_or((order, ""));
        match verb {
            "try" => match race(Box::pin(self.obey(what)), ready(())).await {
                Either::Left(said) => said,
                Either::Right(()) => "not yet".to_owned(),
            },
            "for" => {
                let (seconds, what) = what.split_once(' ').expect("how long, and what");
                let patience = Duration::from_secs(seconds.parse().expect("a number"));
                let handle = self.stage.handle.clone();
                let said = handle.timeout(patience, Box::pin(self.obey(what))).await;
                said.unwrap_or_else(|_| "too long".to_owned())
            }
            "also" => {
                let (stage, name, what) = (self.stage.clone(), self.name.clone(), what.to_owned());
                let writer = self.writer.clone().expect("it was not dropped");
                self.stage.spawn(async move {
                    let said = wait(&writer, &what).await.expect("one waits for it");
                    stage.note(&name, format!("also {said}")).await;
                });
                String::new()
            }
            "drop" => {
                match what {
                    "reader" => self.reader = None,
                    _ => self.writer = None,
                }
                String::new()
            }
            "start_tls" => {
                let start = self.start.take().expect("it can begin once");
                let (reader, writer) = (self.reader.as_mut(), self.writer.as_ref());
                let begun = writer.expect("it is there").start_tls(reader.expect("it is there"), start);
                shown_end(begun.await)
            }
            _ => match self.writer.as_deref() {
                Some(writer) if write(writer, verb, what) => String::new(),
                Some(writer) if let Some(said) = wait(writer, verb).await => said,
                _ => read(self.reader.as_mut().expect("it was not dropped"), verb, what).await,
            },
        }
    }
}

/// What does not wait; whether that was it.
fn write(writer: &StreamWriter, verb: &str, what: &str) -> bool {
    match verb {
        "write" => writer.write(what.as_bytes()),
        "bytes" => writer.write(&bytes(number(what))),
        "write_eof" => writer.write_eof(),
        "close" => writer.close(),
        "close_slowly" => writer.close_slowly(Duration::from_secs(1)),
        "abort" => writer.abort(),
        "marks" => {
            let (high, low) = what.split_once(' ').expect("two marks");
            writer.set_write_buffer_limits(number(high), number(low));
        }
        _ => return false,
    }
    true
}

/// What waits for a connection.
async fn wait(writer: &StreamWriter, verb: &str) -> Option<String> {
    match verb {
        "drain" => Some(shown_end(writer.drain().await)),
        "wait_closed" => Some(shown_end(writer.wait_closed().await)),
        "woken" => {
            writer.woken().await;
            Some("woken".to_owned())
        }
        "is_closing" => Some(writer.is_closing().to_string()),
        _ => None,
    }
}

async fn read(reader: &mut StreamReader, verb: &str, what: &str) -> String {
    let failed = ReadError::Failed;
    match verb {
        "read" => shown(reader.read(number(what)).await.map_err(failed)),
        "fill_buf" => shown(reader.fill_buf().await.map_err(failed)),
        "read_to_end" => shown(reader.read_to_end().await.map_err(failed)),
        "read_exact" => shown(reader.read_exact(number(what)).await),
        "read_until" => shown(reader.read_until(what.as_bytes()).await),
        "read_line" => shown(reader.read_line().await),
        "buffered" => shown(Ok(reader.buffered())),
        "at_eof" => reader.at_eof().to_string(),
        "set_limit" => {
            reader.set_limit(number(what));
            String::new()
        }
        _ => panic!("what is it to do? {verb} {what}"),
    }
}

/// What was read, in a line.
pub(crate) fn shown(result: Result<&[u8], ReadError>) -> String {
    match result {
        Ok(data) => text(data),
        Err(ReadError::Incomplete { partial, expected: Some(expected) }) => {
            format!("incomplete: {} of {expected}", text(&partial))
        }
        Err(ReadError::Incomplete { partial, expected: None }) => format!("incomplete: {}", text(&partial)),
        Err(ReadError::LimitOverrun { consumed }) => format!("overrun: {consumed}"),
        Err(ReadError::Failed(error)) => format!("failed {:?}", error.kind()),
    }
}

fn shown_end(result: io::Result<()>) -> String {
    result.map_or_else(|error| format!("failed {:?}", error.kind()), |()| "ok".to_owned())
}

fn text(data: &[u8]) -> String {
    match data.len() {
        0 => "nothing".to_owned(),
        1..=64 => data.escape_ascii().to_string(),
        count => format!("{count} bytes"),
    }
}

/// A step that is the client's; false if it is not.
fn lead(world: &mut dyn World, client: Client, step: &str) -> bool {
    match step {
        "FIN" => world.half_close(client),
        "RST" => world.reset(client),
        "deaf" => world.stop_reading(client),
        "listen" => world.go_on_reading(client),
        "gulp" => {
            world.go_on_reading(client);
            world.stop_reading(client);
        }
        step => match step.strip_prefix("> ") {
            Some(words) => world.send(client, words.as_bytes()),
            None => return false,
        },
    }
    true
}

fn heard(world: &mut dyn World, client: Client) -> String {
    let said = text(&world.take_received(client));
    world.ending(client).map_or_else(|| said.clone(), |ending| format!("{said}, {ending:?}"))
}

fn number(what: &str) -> usize {
    what.parse().expect("a number")
}

/// A conversation of a client with the actor `s1`, everywhere.
#[track_caller]
pub(crate) fn check(steps: &[(&str, &str)]) {
    everywhere(|world| drop(converse(world, steps)));
}

/// The same where what is sent together arrives together.
#[track_caller]
pub(crate) fn check_calmly(steps: &[(&str, &str)]) {
    calmly(|world| drop(converse(world, steps)));
}

/// The same in one world; it can go on.
#[track_caller]
pub(crate) fn converse(world: &mut dyn World, steps: &[(&str, &str)]) -> (Stage, Client) {
    let stage = Stage::new(world);
    stage.serve(world, ServerSecurity::Plain, None);
    let client = world.connect();
    world.quiet();
    stage.play(world, client, "s1", steps);
    (stage, client)
}

/// Why an actor fails, or panics.
pub(crate) const WHY: &str = "it has failed";

/// Polls a future so often, each time when something may have changed, and drops it then; what it gave before.
pub(crate) async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    let mut left = times;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        context.waker().wake_by_ref();
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// How many descriptors the process has: only worth asking while no other test is on sockets.
pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("Linux has it").count()
}
