//! Promises about streams over Unix sockets: the same, by another address.

use std::io;
use std::path::PathBuf;

use proxy_herd::event_loop::{Security, ServerSecurity};

use crate::streams_stage::Stage;
use crate::world::{World, calmly, on_sockets};

/// A task that asks a server at that path for its line's length, and notes what it hears.
fn ask(world: &mut dyn World, stage: &Stage, path: PathBuf) {
    let (task, handle) = (stage.clone(), stage.handle.clone());
    stage.spawn(async move {
        let talk = async {
            let (mut reader, writer) = handle.open_connection(path.as_path(), Security::Plain).await?;
            writer.write(b"hello\n");
            let line = reader.read_line().await?.escape_ascii().to_string();
            Ok::<_, io::Error>(format!("{line} from {}", writer.peer()))
        };
        let said = talk.await.unwrap_or_else(|error| format!("{:?}: {error}", error.kind()));
        task.note("c", said).await;
    });
    world.quiet();
}

#[test]
fn tasks_talk_over_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("herd.sock");
    calmly(|world| {
        let stage = Stage::new(world);
        let (task, place) = (stage.clone(), path.clone());
        stage.spawn(async move {
            let start =
                task.handle.start_server(place.as_path(), ServerSecurity::Plain, |mut reader, writer| async move {
                    assert_eq!(writer.peer().ip(), None, "no IP");
                    let length = reader.read_line().await?.len();
                    writer.write(format!("{length}\n").as_bytes());
                    writer.drain().await
                });
            let server = start.await.expect("the path is free");
            assert_eq!(server.address().to_string(), place.display().to_string());
            server.serve_forever().await
        });
        world.quiet();
        ask(world, &stage, path.clone());
        world.told("c", &[&format!("6\\n from {}", path.display())]);
    });
}

#[test]
fn who_is_not_at_a_path_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("herd.sock");
    on_sockets(|world| {
        let stage = Stage::new(world);
        ask(world, &stage, path.clone());
        let said = world.journal().of("c").concat();
        assert!(said.starts_with(&format!("NotFound: connect to {}: ", path.display())), "{said}");
    });
}
