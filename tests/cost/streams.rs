//! What tasks and streams may cost: the memory of a task that sleeps, and of a connection whose task waits for it to speak.

use std::io::Read;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::event_loop::{EventLoop, ServerSecurity};
use proxy_herd::streams::Handle;

use crate::stage::{Stage, bytes, connect, with_descriptors};

#[test]
fn an_idle_task_costs_at_most_384_bytes() {
    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let mut costs = Vec::new();
    // Tables double when they are full, so among the counts are those that no longer fit.
    let (mut begun, mut grown) = (0, 0);
    for count in [1_024, 1_025, 10_000, 16_384] {
        grown += bytes(|| {
            for _ in begun..count {
                let tasks = handle.clone();
                handle.spawn(async move { tasks.sleep(FAR).await }).detach();
            }
            event_loop.advance(Instant::now(), SystemTime::now());
            event_loop.end_turn();
        });
        begun = count;
        costs.push((count, grown / count));
    }
    println!("an idle task costs (count, bytes each) {costs:?}");
    let most = costs.iter().map(|(_, each)| *each).max().expect("there are some");
    assert!((100..=384).contains(&most), "{most}");
}

#[test]
fn an_idle_connection_of_streams_costs_at_most_a_kibibyte_more_than_one_of_callbacks() {
    let mut stage = Stage::new(
        |address| {
            let mut event_loop = EventLoop::new(0, Instant::now(), SystemTime::now());
            let tasks = event_loop.enter(|event_loop, _| Handle::new(event_loop));
            event_loop.enter(|event_loop, _| {
                event_loop.listen(address, ServerSecurity::Plain, move |connections: &mut usize| {
                    *connections += 1;
                    tasks.protocol(|mut reader, writer| async move {
                        loop {
                            let data = reader.read(4096).await?;
                            if data.is_empty() {
                                return Ok(());
                            }
                            writer.write(data);
                            writer.drain().await?;
                        }
                    })
                });
            });
            event_loop
        },
        |connections| *connections,
    );
    let counts = [1_024, 1_025, 2_048].map(with_descriptors);
    let mut clients = Vec::with_capacity(counts[2]);
    let mut grown = 0;
    let costs = counts.map(|count| {
        grown += bytes(|| {
            while clients.len() < count {
                let mut client = connect(stage.address);
                stage.talk(&mut client, MESSAGE, MESSAGE.len());
                clients.push(client);
            }
            clients.iter_mut().for_each(|client| stage.say(client, MESSAGE));
            clients.iter_mut().for_each(|client| stage.talk(client, b"", MESSAGE.len()));
        });
        (count, grown / count as i64)
    });
    println!("an idle connection of streams costs (count, bytes each) {costs:?}");
    assert!(clients.iter_mut().all(|client| client.read(&mut [0]).is_err()), "they are there");
    let most = costs.iter().map(|(_, each)| *each).max().expect("there are some");
    assert!((300..=384 + 1024).contains(&most), "{most}");
}

const FAR: Duration = Duration::from_secs(1_000_000);

const MESSAGE: &[u8] = b"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n";
