//! A task that talks: it does anything with its connection, reads aloud from a book, and compares what it hears with what was said.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use proxy_herd::event_loop::ConnId;
use proxy_herd::streams::{ReadError, StreamReader, StreamWriter, join};

use crate::company::Company;

/// One end of a connection.
pub(crate) struct Talk<S: 'static> {
    company: Company<S>,
    mouth: Mouth<S>,
    ear: Ear<S>,
}

/// What is known of one direction.
#[derive(Default)]
pub(crate) struct Line {
    said: Cell<usize>,
    heard: Cell<usize>,
    /// Nothing more is said.
    ended: Cell<bool>,
}

/// Both directions: from who has connected, and to it.
pub(crate) type Lines = Rc<[Line; 2]>;

impl Line {
    /// Anything may have been said, and no more will be.
    pub(crate) fn ended() -> Self {
        Self { said: Cell::new(BOOKS[0].len()), ended: Cell::new(true), ..Self::default() }
    }
}

/// Reads a book aloud.
struct Mouth<S: 'static> {
    company: Company<S>,
    writer: Option<Rc<StreamWriter>>,
    id: ConnId,
    lines: Lines,
    side: usize,
    /// It has left the connection, in whatever way.
    closed: Rc<Cell<bool>>,
}

/// Follows in the same book.
struct Ear<S: 'static> {
    company: Company<S>,
    reader: Option<StreamReader>,
    lines: Lines,
    side: usize,
    limit: usize,
    heard: usize,
    /// A stranger says anything.
    is_strange: bool,
    /// The rest of a line is thrown away that was too long.
    is_skipping: bool,
    closed: Rc<Cell<bool>>,
}

impl<S: 'static> Talk<S> {
    /// `side` is 0 for who has connected, and 1 for who was.
    pub(crate) fn new(company: &Company<S>, side: usize, lines: Lines, ends: (StreamReader, StreamWriter)) -> Self {
        let (reader, writer) = ends;
        let closed = Rc::<Cell<bool>>::default();
        // So that closing is over before anybody asks who waits for it.
        writer.set_close_timeout(Duration::from_millis(20));
        let ear = Ear {
            company: company.clone(),
            reader: Some(reader),
            lines: Rc::clone(&lines),
            side: 1 - side,
            limit: 64 * 1024,
            heard: 0,
            is_strange: false,
            is_skipping: false,
            closed: Rc::clone(&closed),
        };
        let (id, writer) = (writer.id(), Some(Rc::new(writer)));
        let mouth = Mouth { company: company.clone(), writer, id, lines, side, closed };
        Self { company: company.clone(), mouth, ear }
    }

    /// Says, hears and does anything, as long as it likes, and keeps what it has as long as it has to.
    pub(crate) async fn go_on(mut self) {
        for _ in 0..self.company.roll(60) {
            if !self.company.is_wild() {
                break;
            }
            match self.company.roll(10) {
                0 => self.company.act().await,
                1 => drop(join(self.ear.step(), self.mouth.step()).await),
                2..=5 => self.mouth.step().await,
                _ => self.ear.step().await,
            }
        }
        self.company.hold_still().await;
    }
}

impl<S: 'static> Mouth<S> {
    async fn step(&mut self) {
        let Some(writer) = self.writer.clone() else { return };
        let (line, closed) = (&self.lines[self.side], Rc::clone(&self.closed));
        let time = Duration::from_millis(self.company.roll(20) as u64);
        match self.company.roll(60) {
            0 => writer.close(),
            1 => writer.abort(),
            2 => writer.reset(),
            3 => writer.close_slowly(time),
            4 => self.writer = None,
            5 => {
                writer.write_eof();
                line.ended.set(true);
            }
            6 => writer.set_write_buffer_limits(1000, self.company.roll(1000)),
            7 => writer.set_close_timeout(time),
            8..=10 => {
                let id = self.id;
                self.company.handle.call(move |event_loop, _| event_loop.wake(id)).await;
                self.company.wait("woken", || true, writer.woken()).await;
            }
            11 if self.closed.get() => {
                let ended = self.company.wait("wait_closed", || true, writer.wait_closed()).await;
                self.company.happens(if let Some(Err(_)) = ended { "closed with an error" } else { "closed" });
            }
            12..=25 => {
                let lines = Rc::clone(&self.lines);
                let side = self.side;
                let could_go = move || closed.get() || lines[side].heard.get() == lines[side].said.get();
                if let Some(Err(_)) = self.company.wait("drain", could_go, writer.drain()).await {
                    self.company.happens("drain fails");
                }
            }
            26 | 27 => self.company.may_fall(),
            sides => {
                let most = if sides == 28 { 300_000 } else { 2_000 };
                let left = &BOOKS[self.side][line.said.get()..];
                let words = &left[..self.company.roll(most).min(left.len())];
                if !line.ended.get() {
                    line.said.set(line.said.get() + words.len());
                }
                let (first, rest) = words.split_at(words.len() / 3);
                writer.writelines([first, rest]);
            }
        }
        if self.writer.is_none() || writer.is_closing() {
            self.closed.set(true);
            self.lines[self.side].ended.set(true);
        }
    }
}

impl<S> Drop for Mouth<S> {
    fn drop(&mut self) {
        self.closed.set(true);
        self.lines[self.side].ended.set(true);
    }
}

impl<S: 'static> Ear<S> {
    async fn step(&mut self) {
        let Some(mut reader) = self.reader.take() else { return };
        let count = self.company.roll(3_000);
        let separator = [if self.company.roll(2) == 0 { b'\n' } else { self.company.roll(256) as u8 }];
        let company = self.company.clone();
        let what = match self.heard {
            // Who speaks is known by the first byte.
            0 => 13,
            _ if self.is_skipping => 12,
            _ => self.company.roll(16),
        };
        let ended = match what {
            0 => {
                self.limit = 1 + count;
                reader.set_limit(self.limit);
                false
            }
            1 if company.roll(4) == 0 => {
                self.company.happens("reader dropped");
                return;
            }
            2 => {
                let seen = reader.buffered().len();
                self.hear(&reader.buffered()[..seen], 0)
            }
            3 | 4 => {
                let could_go = self.once(|_, left| left > 0);
                match company.wait("fill_buf", could_go, reader.fill_buf()).await {
                    Some(Ok(data)) => {
                        let most = data.len().min(count);
                        let ended = self.hear(data, most) || data.is_empty();
                        reader.consume(most);
                        ended
                    }
                    outcome => outcome.is_some(),
                }
            }
            5 | 6 => {
                let could_go = self.once_separated(separator[0]);
                match company.wait("fill_until", could_go, reader.fill_until(&separator)).await {
                    Some(Ok(data)) => {
                        let seen = data.len();
                        self.hear(data, seen);
                        reader.consume(seen);
                        false
                    }
                    outcome => self.not_heard(outcome),
                }
            }
            7 | 8 => {
                let could_go = self.once(move |_, left| left >= count);
                let outcome = company.wait("read_exact", could_go, reader.read_exact(count)).await;
                self.outcome(outcome)
            }
            9 | 10 => {
                let could_go = self.once_separated(separator[0]);
                let outcome = company.wait("read_until", could_go, reader.read_until(&separator)).await;
                self.outcome(outcome)
            }
            11 | 12 => self.read_line(&mut reader).await,
            _ => {
                let could_go = self.once(|_, left| left > 0);
                let outcome = company.wait("read", could_go, reader.read(count + 1)).await;
                let nothing = matches!(outcome, Some(Ok([])));
                self.outcome(outcome.map(|outcome| outcome.map_err(ReadError::Failed))) || nothing
            }
        };
        // Who has heard the end may ask again.
        if !ended || self.company.roll(3) > 0 {
            self.reader = Some(reader);
        }
    }

    async fn read_line(&mut self, reader: &mut StreamReader) -> bool {
        let company = self.company.clone();
        let could_go = if self.is_skipping { self.once(|_, _| false) } else { self.once_separated(b'\n') };
        match company.wait("read_line", could_go, reader.read_line()).await {
            Some(Err(ReadError::LimitOverrun { .. })) => {
                self.company.happens("overrun");
                self.skip_line();
                self.is_skipping = true;
                false
            }
            Some(Ok(line)) if self.is_skipping && !line.is_empty() => {
                self.skip_line();
                self.is_skipping = false;
                self.hear(line, line.len());
                false
            }
            outcome => {
                let nothing = matches!(outcome, Some(Ok([])));
                self.outcome(outcome) || nothing
            }
        }
    }

    /// Behind the end of a line that was too long begins the next.
    fn skip_line(&mut self) {
        if self.is_skipping && !self.is_strange {
            let end = BOOKS[self.side][self.heard..].iter().position(|byte| *byte == b'\n');
            self.heard += end.expect("a line has an end") + 1;
        }
    }

    /// Compares what was read; whether that was the end.
    fn outcome(&mut self, outcome: Option<Result<&[u8], ReadError>>) -> bool {
        match outcome {
            Some(Ok(data)) => {
                self.hear(data, data.len());
                false
            }
            outcome => self.not_heard(outcome),
        }
    }

    fn not_heard(&mut self, outcome: Option<Result<&[u8], ReadError>>) -> bool {
        match outcome {
            Some(Err(ReadError::Incomplete { partial, .. })) => {
                self.company.happens("incomplete");
                self.hear(&partial, partial.len());
                true
            }
            Some(Err(ReadError::Failed(_))) => {
                self.company.happens("failed");
                true
            }
            _ => false,
        }
    }

    /// Compares, and takes so many away; false, as this is not the end.
    fn hear(&mut self, data: &[u8], taken: usize) -> bool {
        let line = &self.lines[self.side];
        if self.heard == 0 && !data.is_empty() {
            self.is_strange = data[0] != BOOKS[self.side][0];
        }
        let most = if self.company.own.is_exact { line.said.get() } else { BOOKS[self.side].len() };
        if !self.is_strange && BOOKS[self.side][..most].get(self.heard..self.heard + data.len()) != Some(data) {
            let told = format!("{} bytes after {} are not what was said", data.len(), self.heard);
            self.company.own.violations.borrow_mut().push(told);
        }
        self.heard += taken;
        line.heard.set(self.heard);
        false
    }

    /// Whether a read could go on for which `enough` is here, from the first place to so many after it.
    fn once(&self, enough: impl Fn(usize, usize) -> bool + 'static) -> Box<dyn Fn() -> bool> {
        let (lines, side, closed) = (Rc::clone(&self.lines), self.side, Rc::clone(&self.closed));
        Box::new(move || {
            let line = &lines[side];
            let (heard, said) = (line.heard.get(), line.said.get());
            line.ended.get() || closed.get() || enough(heard, said.saturating_sub(heard))
        })
    }

    fn once_separated(&self, separator: u8) -> Box<dyn Fn() -> bool> {
        let (side, limit) = (self.side, self.limit);
        self.once(move |heard, left| {
            left > limit || BOOKS[side].iter().skip(heard).take(left).any(|byte| *byte == separator)
        })
    }
}

/// What is said, from the first byte to the last: at first nothing that strangers begin with.
static BOOKS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    [1, 2].map(|seed| {
        let mut book = vec![0; 1 << 20];
        fastrand::Rng::with_seed(seed).fill(&mut book[1..]);
        book
    })
});
