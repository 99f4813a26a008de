//! The callbacks under the streams: a protocol that puts what it is told into a pipe.

use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;

use super::pipe::{Phase, Pipe};
use super::reader::StreamReader;
use super::task::Job;
use super::writer::StreamWriter;
use crate::event_loop::{AfterEof, ConnId, Loop, Lost, Protocol, Transport};

/// A connection's protocol that runs an async function on it: see [`Handle::protocol`](super::Handle::protocol). asyncio:
/// `StreamReaderProtocol`.
pub struct StreamProtocol<S> {
    pipe: Rc<Pipe>,
    /// What begins when the connection is made, if somebody was accepted.
    handler: Option<Begin>,
    /// It is for the loop of its handle, and so for a loop with that state.
    of: PhantomData<fn(&mut S)>,
}

/// Calls a handler; what it returns is the connection's task.
pub(super) type Begin = Box<dyn FnOnce(ConnId, StreamReader, StreamWriter) -> Pin<Box<dyn Job>>>;

impl<S> StreamProtocol<S> {
    pub(super) fn new(pipe: Rc<Pipe>, handler: Option<Begin>) -> Self {
        Self { pipe, handler, of: PhantomData }
    }
}

impl<S> Protocol<S> for StreamProtocol<S> {
    fn connection_made(&mut self, transport: &mut Transport<'_, S>, _: &mut S) {
        let id = transport.id();
        let high = transport.write_buffer_limits().1;
        self.pipe.notify(|ends| ends.made(id, transport.endpoints().map(|ends| ends.peer.clone()), high));
        if let Some(begin) = self.handler.take() {
            let (reader, writer) = (StreamReader::new(Rc::clone(&self.pipe)), StreamWriter::new(Rc::clone(&self.pipe)));
            self.pipe.desk.spawn(begin(id, reader, writer));
        }
    }

    fn data_received(&mut self, transport: &mut Transport<'_, S>, _: &mut S, data: &[u8]) {
        self.pipe.feed(transport, data);
    }

    /// The task may go on writing, and closes by ending.
    fn eof_received(&mut self, _: &mut Transport<'_, S>, _: &mut S) -> AfterEof {
        self.pipe.feed_eof();
        AfterEof::KeepOpen
    }

    fn pause_writing(&mut self, transport: &mut Transport<'_, S>, _: &mut S) {
        self.pipe.measure(transport);
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, S>, _: &mut S) {
        self.pipe.measure(transport);
    }

    fn woken(&mut self, _: &mut Transport<'_, S>, _: &mut S) {
        self.pipe.notify(|ends| ends.woken = true);
    }

    fn tls_started(&mut self, transport: &mut Transport<'_, S>, _: &mut S) {
        self.pipe.notify(|ends| ends.phase = Phase::Open);
        self.pipe.measure(transport);
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, S>, _: &mut S, lost: Lost) {
        self.pipe.lose(lost.why);
    }
}
