//! A stream's writer at its limits: whether writing makes sense, and a reset as the end.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use proxy_herd::driver::sim::{ClientId, Ending, Sim, Weather};
use proxy_herd::event_loop::ServerSecurity;
use proxy_herd::streams::{Handle, StreamReader, StreamWriter};

/// What tasks have told.
type Told = Rc<RefCell<Vec<String>>>;

const SECOND: Duration = Duration::from_secs(1);

/// More than everything on the way has room for.
const FAR_TOO_MUCH: &[u8] = &[b'x'; 1 << 20];

/// A client that does not read at first, what serves it, and what that tells.
fn serve<F>(handler: impl Fn(Handle<()>, StreamReader, StreamWriter, Told) -> F + 'static) -> (Sim<()>, ClientId, Told)
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let mut sim = Sim::new(7, Weather::default());
    let told = Told::default();
    let address = SocketAddr::from(([127, 0, 0, 1], 7));
    let host = sim.add_host("Goloman", ());
    let handle = sim.enter(host, |event_loop, _| Handle::new(event_loop));
    let (tasks, tell) = (handle.clone(), Rc::clone(&told));
    handle
        .spawn(async move {
            let handle = tasks.clone();
            let serve = move |reader, writer| handler(handle.clone(), reader, writer, Rc::clone(&tell));
            let server = tasks.start_server(address, ServerSecurity::Plain, serve).await.expect("the address is free");
            server.serve_forever().await;
        })
        .detach();
    sim.run_for(SECOND);
    let client = sim.connect(address);
    sim.stop_reading(client);
    (sim, client, told)
}

fn tell(told: &Told, what: impl ToString) {
    told.borrow_mut().push(what.to_string());
}

#[test]
fn a_reset_throws_away_what_waits_and_the_peer_learns_that_it_was_not_all() {
    let (mut sim, client, told) = serve(|_, _, writer, told| async move {
        writer.write(FAR_TOO_MUCH);
        writer.reset();
        writer.write(b"dropped");
        tell(&told, writer.is_closing());
        tell(&told, writer.drain().await.map_err(|error| error.kind() == io::ErrorKind::ConnectionReset).is_err());
        tell(&told, writer.wait_closed().await.is_ok());
        Ok(())
    });
    sim.go_on_reading(client);
    sim.run_for(SECOND);
    assert_eq!(sim.ending(client), Some(Ending::Reset));
    assert!(sim.received(client).len() < FAR_TOO_MUCH.len());
    assert_eq!(*told.borrow(), ["true"; 3]);
}

#[test]
fn a_reset_wins_over_a_close_before_it_and_after_it() {
    for order in ["reset", "close, reset", "reset, close", "close, wait, reset", "write_eof, wait, reset"] {
        let (mut sim, client, _) = serve(move |handle, _, writer, _| async move {
            writer.write(FAR_TOO_MUCH);
            for what in order.split(", ") {
                match what {
                    "reset" => writer.reset(),
                    "close" => writer.close(),
                    "write_eof" => writer.write_eof(),
                    _ => handle.sleep(SECOND).await,
                }
            }
            // Dropping the writer does not make it a good end.
            Err(io::Error::other("on purpose"))
        });
        sim.run_for(2 * SECOND);
        sim.go_on_reading(client);
        sim.run_for(SECOND);
        assert_eq!(sim.ending(client), Some(Ending::Reset), "{order}");
        assert!(sim.received(client).len() < FAR_TOO_MUCH.len(), "{order}");
    }
}

#[test]
fn writing_is_paused_above_the_high_water_mark_until_the_low_one() {
    let (mut sim, client, told) = serve(|handle, _, writer, told| async move {
        writer.set_write_buffer_limits(2 * FAR_TOO_MUCH.len(), FAR_TOO_MUCH.len() / 2);
        // Some of it goes to the network.
        writer.write(FAR_TOO_MUCH);
        handle.sleep(SECOND).await;
        let waits = handle
            .call({
                let id = writer.id();
                move |event_loop, _| event_loop.transport(id).map(|transport| transport.write_buffer_size())
            })
            .await;
        let waits = waits.expect("it stands");
        tell(&told, writer.is_writing_paused());
        let room = vec![b'x'; 2 * FAR_TOO_MUCH.len() - waits];
        writer.write(&room);
        tell(&told, writer.is_writing_paused());
        handle.sleep(SECOND).await;
        tell(&told, writer.is_writing_paused());
        // One more: known once it is with the transport.
        writer.write(b"x");
        handle.sleep(SECOND).await;
        tell(&told, writer.is_writing_paused());
        writer.drain().await?;
        tell(&told, writer.is_writing_paused());
        writer.close();
        writer.wait_closed().await
    });
    sim.run_for(10 * SECOND);
    assert_eq!(*told.borrow(), ["false", "false", "false", "true"]);
    sim.go_on_reading(client);
    sim.run_for(SECOND);
    assert_eq!(told.borrow()[4..], ["false"]);
    assert_eq!(
        (sim.ending(client), sim.received(client).len()),
        (Some(Ending::Fin), 2 * FAR_TOO_MUCH.len() + 1 + 64 * 1024)
    );
}

#[test]
fn what_one_turn_writes_may_pause_writing_at_once() {
    let (mut sim, _, told) = serve(|handle, _, writer, told| async move {
        for room in [64 * 1024, 1] {
            writer.write(&FAR_TOO_MUCH[..room]);
            tell(&told, writer.is_writing_paused());
        }
        handle.sleep(SECOND).await;
        tell(&told, writer.is_writing_paused());
        Ok(())
    });
    sim.run_for(2 * SECOND);
    assert_eq!(*told.borrow(), ["false", "true", "false"], "the network has room for it");
}

#[test]
fn nobody_need_wait_to_write_to_who_is_lost() {
    let (mut sim, client, told) = serve(|_, _, writer, told| async move {
        writer.write(FAR_TOO_MUCH);
        tell(&told, writer.is_writing_paused());
        tell(&told, writer.drain().await.is_err());
        tell(&told, writer.is_writing_paused());
        tell(&told, writer.drain().await.is_err());
        Ok(())
    });
    sim.run_for(SECOND);
    assert_eq!(*told.borrow(), ["true"]);
    sim.reset(client);
    sim.run_for(SECOND);
    assert_eq!(*told.borrow(), ["true", "true", "false", "true"]);
}
