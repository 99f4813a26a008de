//! A chat room, with streams: `cargo run --example chat_streams`, then `nc 127.0.0.1 8888` in two terminals or more.
//!
//! To be read beside `chat_callbacks.rs`, which does the same. A guest's first line is the name; each line after it is told to all
//! others. A guest who does not read misses what is said meanwhile, so that nothing is queued without end; one whose line is too
//! long is shown out. The argument is where to listen.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{ConnId, EventLoop, ServerSecurity};
use proxy_herd::streams::{Either, Handle, Queue, StreamReader, StreamWriter, race};

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8888").parse()?;
    let mut event_loop = EventLoop::new(Ok(()), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let tasks = handle.clone();
    let main = async move {
        let end = serve(&tasks, address).await;
        tasks.call_soon(|event_loop, outcome| {
            *outcome = end;
            event_loop.stop();
        });
    };
    handle.spawn(main).detach();
    Sockets::new()?.run(&mut event_loop)?;
    match event_loop.state() {
        Ok(()) => Ok(()),
        Err(error) => Err(error.to_string().into()),
    }
}

/// What has come of it: the state that is lent to whoever asks for it.
type Outcome = io::Result<()>;

/// Who is there, each with what there is to tell; the tasks share it.
#[derive(Default)]
struct Room {
    guests: RefCell<BTreeMap<ConnId, Queue<Rc<[u8]>>>>,
}

impl Room {
    /// Tells all but `speaker`.
    fn tell(&self, speaker: Option<ConnId>, words: &[&[u8]]) {
        let words = Rc::from(words.concat());
        for (_, queue) in self.guests.borrow().iter().filter(|(guest, _)| Some(**guest) != speaker) {
            // An unbounded queue would keep, for somebody who does not read, all that is ever said. In a full one it is missed.
            let _ = queue.try_put(Rc::clone(&words));
        }
    }
}

async fn serve(handle: &Handle<Outcome>, address: SocketAddr) -> io::Result<()> {
    let room = Rc::<Room>::default();
    let entrance = move |reader, writer| receive(Rc::clone(&room), reader, writer);
    let server = handle.start_server(address, ServerSecurity::Plain, entrance).await?;
    println!("Serving on {}", server.address());
    server.serve_forever().await;
    Ok(())
}

/// Serves one guest; when this returns, the connection is closed.
async fn receive(room: Rc<Room>, mut reader: StreamReader, writer: StreamWriter) -> io::Result<()> {
    reader.set_limit(LIMIT);
    let Some(name) = reader.read_line().await?.strip_suffix(b"\n").map(<[u8]>::to_vec) else { return Ok(()) };
    let queue = Queue::new(BACKLOG);
    room.guests.borrow_mut().insert(writer.id(), queue.clone());
    room.tell(None, &[b"* ", &name, b" has come\n"]);

    let hear = async {
        while let Some(words) = queue.get().await {
            writer.write(&words);
            writer.drain().await?;
        }
        Ok(())
    };
    let speak = async {
        while let Some(line) = reader.read_line().await?.strip_suffix(b"\n") {
            room.tell(Some(writer.id()), &[&name, b": ", line, b"\n"]);
        }
        Ok(())
    };
    // In this order, so that who leaves at once is told at least what there is to tell.
    let (Either::Left(end) | Either::Right(end)) = race(hear, speak).await;

    room.guests.borrow_mut().remove(&writer.id());
    room.tell(None, &[b"* ", &name, b" has gone\n"]);
    end
}

/// The most bytes of a line, its `\n` not counted.
const LIMIT: usize = 1024;

/// The most lines that wait for a guest to read.
const BACKLOG: usize = 64;
