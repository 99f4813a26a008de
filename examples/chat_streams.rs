//! A chat room, with streams: `cargo run --example chat_streams`, then `nc 127.0.0.1 8888` in two terminals or more.
//!
//! To be read beside `chat_callbacks.rs`, which does the same. A guest's first line is the name; each line after it is told to all
//! others. A guest who does not read misses what is said meanwhile; one whose line is too long is shown out. The argument is
//! where to listen.

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
use proxy_herd::streams::{Handle, StreamReader, StreamWriter};

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8888").parse()?;
    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let main = handle.spawn_main(serve(handle.clone(), address));
    Sockets::new()?.run(&mut event_loop)?;
    main.result()?.map_err(|error| error.to_string().into())
}

/// Who is there: the tasks share it, and each borrows it between two awaits. It has the connections' writers.
#[derive(Default)]
struct Room {
    guests: RefCell<BTreeMap<ConnId, Rc<StreamWriter>>>,
}

impl Room {
    /// Tells all but `speaker`.
    fn tell(&self, speaker: Option<ConnId>, words: &[&[u8]]) {
        for (_, writer) in self.guests.borrow().iter().filter(|(guest, _)| Some(**guest) != speaker) {
            // Who does not read misses it: nothing is kept without end.
            if !writer.is_writing_paused() {
                writer.writelines(words.iter().copied());
            }
        }
    }
}

async fn serve(handle: Handle<()>, address: SocketAddr) -> io::Result<()> {
    let room = Rc::<Room>::default();
    let entrance = move |reader, writer| receive(Rc::clone(&room), reader, Rc::new(writer));
    let server = handle.start_server(address, ServerSecurity::Plain, entrance).await?;
    println!("Serving on {}", server.address());
    server.serve_forever().await;
    Ok(())
}

/// Serves one guest; when this returns, the connection is closed.
async fn receive(room: Rc<Room>, mut reader: StreamReader, writer: Rc<StreamWriter>) -> io::Result<()> {
    let id = writer.id();
    reader.set_limit(LIMIT);
    let Some(name) = reader.read_line().await?.strip_suffix(b"\n").map(<[u8]>::to_vec) else { return Ok(()) };
    room.guests.borrow_mut().insert(id, writer);
    room.tell(None, &[b"* ", &name, b" has come\n"]);

    let end = loop {
        match reader.read_line().await {
            Ok([line @ .., b'\n']) => room.tell(Some(id), &[&name, b": ", line, b"\n"]),
            end => break end.map(drop),
        }
    };

    room.guests.borrow_mut().remove(&id);
    room.tell(None, &[b"* ", &name, b" has gone\n"]);
    Ok(end?)
}

/// The most bytes of a line, its `\n` not counted.
const LIMIT: usize = 1024;
