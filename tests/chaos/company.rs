//! Tasks that roll dice: what they do to connections, to each other and to themselves, and whether what they hear was said.
//!
//! - Who talks to another task reads from a book that both have: so no byte is missing, made up, or there twice.
//! - Whoever waits has put down what would let it go on. So, when all is quiet, it is known whether somebody was forgotten.
//! - All that is made has a token: none may be left in the end.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::{pending, ready};
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use proxy_herd::event_loop::{Address, ConnId, Security, ServerSecurity, Signal};
use proxy_herd::streams::{
    Either, Event, Handle, Queue, Semaphore, Server, StreamReader, StreamWriter, Task, TaskError, join, race, try_join,
};

use crate::talk::{Line, Lines, Talk};

/// The tasks of one loop; clones are the same.
pub(crate) struct Company<S: 'static> {
    pub(crate) handle: Handle<S>,
    pub(crate) own: Rc<Own>,
}

/// What they share.
pub(crate) struct Own {
    dice: RefCell<fastrand::Rng>,
    /// Where tasks serve, and how.
    doors: Vec<Way>,
    mood: Cell<Mood>,
    /// How much may still be begun.
    energy: Cell<usize>,
    crew: RefCell<Vec<Task<()>>>,
    queue: Queue<u8>,
    event: Event,
    semaphore: Semaphore,
    /// Whoever holds still waits for it.
    home: Event,
    tokens: Rc<()>,
    waits: RefCell<BTreeMap<usize, Wait>>,
    places: Cell<usize>,
    /// Whether all who talk are ours: then it is known who waits for what.
    pub(crate) is_exact: bool,
    /// Those of which one end is known, by the address of who has connected.
    lines: RefCell<BTreeMap<SocketAddr, Lines>>,
    pub(crate) connections: RefCell<BTreeSet<ConnId>>,
    pub(crate) violations: RefCell<Vec<String>>,
    /// What has happened to anybody.
    pub(crate) events: RefCell<BTreeSet<&'static str>>,
}

/// What somebody waits for, and whether it would not have to.
type Wait = (&'static str, Box<dyn Fn() -> bool>);

/// Where somebody serves, and how, and how one gets there.
pub(crate) type Way = (Address, ServerSecurity, Security);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Wild,
    /// Who has done what it was doing holds still.
    Calm,
    Leaving,
}

impl<S> Clone for Company<S> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), own: Rc::clone(&self.own) }
    }
}

impl<S: 'static> Company<S> {
    pub(crate) fn new(handle: Handle<S>, seed: u64, is_exact: bool, doors: Vec<Way>) -> Self {
        let own = Own {
            dice: RefCell::new(fastrand::Rng::with_seed(seed)),
            doors,
            mood: Cell::new(Mood::Wild),
            energy: Cell::new(0),
            crew: RefCell::default(),
            queue: Queue::new(2),
            event: Event::new(),
            semaphore: Semaphore::new(2),
            home: Event::new(),
            tokens: Rc::default(),
            waits: RefCell::default(),
            places: Cell::new(0),
            is_exact,
            lines: RefCell::default(),
            connections: RefCell::default(),
            violations: RefCell::default(),
            events: RefCell::default(),
        };
        Self { handle, own: Rc::new(own) }
    }

    /// Somebody keeps each door, and somebody waits for signals.
    pub(crate) fn open(&self) {
        for (door, security, _) in &self.own.doors {
            let (company, listening) = (self.clone(), self.serve(door.clone(), security.clone()));
            self.spawn(async move {
                let server = listening.await.expect("the address is free");
                company.wait("home", || false, company.own.home.wait()).await;
                server.shut_down(Duration::from_millis(20));
            });
        }
        let company = self.clone();
        self.spawn(async move {
            while !company.own.home.is_set() {
                let signal = company.handle.signal(Signal::Hangup);
                if let Either::Left(()) = race(signal, company.own.home.wait()).await {
                    company.happens("a signal");
                    company.stir();
                }
            }
        });
    }

    /// So many come, and may begin so much.
    pub(crate) fn storm(&self, count: usize, energy: usize) {
        self.own.mood.set(Mood::Wild);
        self.own.energy.set(energy);
        (0..count).for_each(|_| self.come());
    }

    pub(crate) fn calm_down(&self) {
        self.own.mood.set(Mood::Calm);
    }

    /// All go home: each by itself, or told to.
    pub(crate) fn leave(&self, by_force: bool) {
        self.own.mood.set(Mood::Leaving);
        self.own.home.set();
        self.own.event.set();
        self.own.queue.shut_down();
        let crew = self.own.crew.take();
        if by_force {
            return drop(crew);
        }
        crew.into_iter().for_each(Task::detach);
        let own = Rc::clone(&self.own);
        self.handle.call_soon(move |event_loop, _| {
            for id in own.connections.borrow().iter() {
                if let Some(mut transport) = event_loop.transport(*id) {
                    transport.abort();
                }
            }
        });
    }

    /// Who was forgotten: for when nothing happens any more.
    pub(crate) fn forgotten(&self) -> Vec<&'static str> {
        self.own.waits.borrow().values().filter(|(_, could_go)| could_go()).map(|(what, _)| *what).collect()
    }

    /// How much is left of what was made.
    pub(crate) fn tokens(&self) -> usize {
        Rc::strong_count(&self.own.tokens) - 1
    }

    /// From outside of all tasks: wakes some of them.
    pub(crate) fn stir(&self) {
        if self.own.mood.get() != Mood::Wild {
            return;
        }
        match self.roll(5) {
            0 => {
                // Perhaps whoever is called by it goes before it has looked.
                let _ = self.own.queue.try_put(1);
                drop(self.take_somebody());
            }
            1 => drop(self.own.queue.try_get()),
            2 => self.own.event.set(),
            3 => drop(self.own.semaphore.try_acquire()),
            _ => self.own.event.clear(),
        }
    }

    pub(crate) fn roll(&self, sides: usize) -> usize {
        self.own.dice.borrow_mut().usize(..sides)
    }

    pub(crate) fn happens(&self, what: &'static str) {
        self.own.events.borrow_mut().insert(what);
    }

    pub(crate) fn is_wild(&self) -> bool {
        self.own.mood.get() == Mood::Wild
    }

    /// Something that is noticed if it is kept for ever, and may panic when it is dropped.
    fn token(&self) -> Token {
        Token { _counted: Rc::clone(&self.own.tokens), breaks: self.is_wild() && self.roll(60) == 0 }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let token = self.token();
        let task = self.handle.spawn(async move {
            let _token = token;
            task.await;
        });
        self.own.crew.borrow_mut().push(task);
    }

    /// One more, who goes to a door or only acts.
    fn come(&self) {
        let company = self.clone();
        if self.roll(2) == 0 {
            return self.spawn(async move { company.live().await });
        }
        let (door, _, security) = self.own.doors[self.roll(self.own.doors.len())].clone();
        self.spawn(async move {
            let connecting = company.handle.open_connection(door, security);
            if let Some(Ok((reader, writer))) = company.wait("connect", || true, connecting).await {
                company.happens("connected");
                company.talk(0, reader, writer).await;
            }
        });
    }

    /// `side` is 0 for who has connected, and 1 for who was.
    async fn talk(self, side: usize, reader: StreamReader, writer: StreamWriter) {
        let id = writer.id();
        self.own.connections.borrow_mut().insert(id);
        let local = self.handle.call(move |event_loop, _| event_loop.transport(id)?.local_addr());
        let address = if side == 0 { local.await } else { writer.peer().ip() };
        Talk::new(&self, side, self.lines(address), (reader, writer)).go_on().await;
    }

    /// The second who asks gets what the first has got.
    fn lines(&self, address: Option<SocketAddr>) -> Lines {
        if !self.own.is_exact {
            return Lines::default();
        }
        // Or it is lost already, and what came can be read.
        let Some(address) = address else { return Rc::new([(); 2].map(|()| Line::ended())) };
        let mut lines = self.own.lines.borrow_mut();
        lines.remove(&address).unwrap_or_else(|| Rc::clone(lines.entry(address).or_default()))
    }

    fn serve(&self, door: Address, security: ServerSecurity) -> impl Future<Output = io::Result<Server<S>>> + use<S> {
        let (company, handle, token) = (self.clone(), self.handle.clone(), self.token());
        async move {
            let handler = move |reader, writer| {
                let (company, token) = (company.clone(), company.token());
                async move {
                    let _token = token;
                    company.talk(1, reader, writer).await;
                    Err(io::Error::other("a handler may fail"))
                }
            };
            let server = handle.start_server(door, security, handler).await;
            drop(token);
            server
        }
    }

    /// Acts a few times, without a connection.
    async fn live(&self) {
        for _ in 0..self.roll(30) {
            if !self.is_wild() {
                return self.hold_still().await;
            }
            self.act().await;
        }
    }

    /// Keeps what it has, if it is time for that.
    pub(crate) async fn hold_still(&self) {
        if self.own.mood.get() == Mood::Calm {
            self.own.home.wait().await;
        }
    }

    /// Waits, or gives up in some way or other. `could_go`: whether it would not have to wait, when all is quiet.
    pub(crate) async fn wait<T>(
        &self,
        what: &'static str,
        could_go: impl Fn() -> bool + 'static,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let _waits = self.put_down(what, could_go);
        let time = Duration::from_millis(self.roll(20) as u64);
        let own = Rc::clone(&self.own);
        let got = match if self.is_wild() { self.roll(12) } else { 12 } {
            0 => self.handle.timeout(time, future).await.ok(),
            1 => match race(self.handle.sleep(time), future).await {
                Either::Left(()) => None,
                Either::Right(got) => Some(got),
            },
            2 => {
                let mut patience = self.handle.sleep(time);
                let _ = patience.timeout(ready(())).await;
                patience.reset(self.handle.now() + time / 2);
                patience.timeout(future).await.ok()
            }
            3 => {
                let _waits = self.put_down("a race", move || own.event.is_set());
                match race(future, self.own.event.wait()).await {
                    Either::Left(got) => Some(got),
                    Either::Right(()) => None,
                }
            }
            4 => Some(join(future, self.handle.sleep(time)).await.0),
            _ => Some(future.await),
        };
        self.happens(if got.is_some() { what } else { "somebody gave up" });
        got
    }

    fn put_down(&self, what: &'static str, could_go: impl Fn() -> bool + 'static) -> Waits {
        let place = self.own.places.get();
        self.own.places.set(place + 1);
        self.own.waits.borrow_mut().insert(place, (what, Box::new(could_go)));
        Waits(Rc::clone(&self.own), place)
    }

    /// Does anything that needs no connection.
    pub(crate) async fn act(&self) {
        let own = Rc::clone(&self.own);
        let time = Duration::from_millis(self.roll(10) as u64);
        match self.roll(26) {
            0 | 1 => drop(self.wait("sleep", || true, self.handle.sleep(time)).await),
            2..=4 => drop(self.wait("get", move || !own.queue.is_empty(), self.own.queue.get()).await),
            5..=7 => drop(self.wait("put", move || !own.queue.is_full(), self.own.queue.put(1)).await),
            8 => drop(self.wait("event", move || own.event.is_set(), self.own.event.wait()).await),
            9 => self.stir(),
            10 => {
                let patience = self.handle.timeout(time, pending::<()>());
                let waits = async {
                    self.own.event.wait().await;
                    Ok(())
                };
                let _ = self.wait("try_join", || true, try_join(waits, patience)).await;
            }
            11 => {
                let could_go = move || own.semaphore.available() > 0;
                let permit = self.wait("semaphore", could_go, self.own.semaphore.acquire()).await;
                self.handle.sleep(time).await;
                drop(permit);
            }
            12..=15 if self.own.energy.get() > 0 => {
                self.own.energy.set(self.own.energy.get() - 1);
                self.come();
            }
            16 => drop(self.take_somebody()),
            17 => {
                if let Some(somebody) = self.take_somebody() {
                    somebody.cancel();
                    self.join(somebody).await;
                }
            }
            18 => {
                if let Some(somebody) = self.take_somebody() {
                    self.join(somebody).await;
                }
            }
            19 => {
                let (company, token) = (self.clone(), self.token());
                self.handle.call_soon(move |_, _| {
                    company.stir();
                    company.may_fall();
                    drop(token);
                });
            }
            20 | 21 => {
                let (company, token) = (self.clone(), self.token());
                let call = self.handle.call(move |_, _| {
                    company.stir();
                    company.may_fall();
                    drop(token);
                });
                self.wait("call", || true, call).await;
            }
            22 => {
                let job = self.handle.run_in_executor(thread::yield_now);
                drop(self.wait("executor", || true, job).await);
            }
            23 => {
                let server = self.serve(([127, 0, 0, 1], 0).into(), ServerSecurity::Plain);
                if let Some(Ok(server)) = self.wait("listen", || true, server).await {
                    self.handle.sleep(time).await;
                    if self.roll(2) == 0 {
                        server.close();
                        self.wait("server closed", || true, server.wait_closed()).await;
                    }
                }
            }
            _ => self.may_fall(),
        }
    }

    async fn join(&self, mut somebody: Task<()>) {
        let ended = Rc::new(Cell::new(false));
        let over = Rc::clone(&ended);
        // Two may wait for each other.
        let end = race(&mut somebody, self.own.home.wait());
        match self.wait("join", move || over.get(), end).await {
            Some(Either::Left(Ok(()))) => self.happens("joined: done"),
            Some(Either::Left(Err(TaskError::Cancelled))) => self.happens("joined: cancelled"),
            Some(Either::Left(Err(TaskError::Panicked(_)))) => self.happens("joined: panicked"),
            Some(Either::Right(())) => {}
            None => self.own.crew.borrow_mut().push(somebody),
        }
        ended.set(true);
    }

    /// Somebody, to do with as one likes; not those who keep doors and hear signals.
    fn take_somebody(&self) -> Option<Task<()>> {
        let mut crew = self.own.crew.borrow_mut();
        let first = self.own.doors.len() + 1;
        let place = (crew.len() > first).then(|| self.own.dice.borrow_mut().usize(first..crew.len()))?;
        Some(crew.swap_remove(place))
    }

    pub(crate) fn may_fall(&self) {
        if self.is_wild() && self.roll(30) == 0 {
            resume_unwind(Box::new("chaos"));
        }
    }
}

/// Stands in the table of those who wait.
struct Waits(Rc<Own>, usize);

impl Drop for Waits {
    fn drop(&mut self) {
        let gone = self.0.waits.borrow_mut().remove(&self.1);
        drop(gone);
    }
}

/// See [`Company::token`].
struct Token {
    _counted: Rc<()>,
    breaks: bool,
}

impl Drop for Token {
    fn drop(&mut self) {
        if self.breaks && !thread::panicking() {
            resume_unwind(Box::new("chaos at the end"));
        }
    }
}
