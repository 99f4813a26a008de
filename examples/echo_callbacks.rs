//! An echo server in callback style: `cargo run --example echo_callbacks`, then `nc 127.0.0.1 7777`.

use std::io;
use std::time::{Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{EventLoop, Protocol, ServerSecurity, Transport};

struct Echo;

impl Protocol<()> for Echo {
    fn data_received(&mut self, transport: &mut Transport<'_, ()>, _: &mut (), data: &[u8]) {
        transport.write(data);
    }

    fn pause_writing(&mut self, transport: &mut Transport<'_, ()>, _: &mut ()) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, ()>, _: &mut ()) {
        transport.resume_reading();
    }
}

fn main() -> io::Result<()> {
    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, ()| {
        event_loop.listen(([127, 0, 0, 1], 7777).into(), ServerSecurity::Plain, |_: &mut ()| Echo);
    });
    Sockets::new()?.run(&mut event_loop)
}
