//! `proxy-herd keygen`: what it makes, with which modes, and that it replaces nothing.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::command::{EMBEDDED, Herd, check, command, run, text};

const MAKE: &[&str] = &["keygen", "--out", "keys"];

/// Runs keygen; what it said, without what follows the list of files.
#[track_caller]
fn keygen(herd: &Herd, words: &[&str]) -> String {
    let output = run(&herd.folder, words);
    check(&output, 0, None, "");
    let said = text(&output.stdout);
    said.split_once("\n\n").expect("a list, and advice").0.to_owned() + "\n"
}

/// The files of a folder, their modes and texts.
fn files(folder: &Path) -> BTreeMap<String, (u32, String)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let file = |entry: fs::DirEntry| {
        let mode = entry.metadata().expect("it is there").permissions().mode() & 0o777;
        let text = fs::read_to_string(entry.path()).expect("text");
        (entry.file_name().to_string_lossy().into_owned(), (mode, text))
    };
    entries.map(file).collect()
}

fn ball_and_hill() -> Herd {
    Herd::new(&["Ball", "Hill"], &[("Ball", "Hill")], EMBEDDED)
}

#[test]
fn it_makes_an_authority_and_a_pair_for_each_server() {
    let herd = ball_and_hill();
    let output =
        run(&herd.folder, &["keygen", "--topology", "topology.json", "--out", "etc/my \"keys\"", "--days", "3"]);
    let folder = herd.folder.path().join("etc/my \"keys\"");
    let said = "made D/ca.key: the key of the herd's authority (CA)\nmade D/ca.pem: the authority's certificate\n\
                made D/Ball.key\nmade D/Ball.pem, good for 3 days\nmade D/Hill.key\nmade D/Hill.pem, good for 3 days\n\n\
                Write into the topology: \"security\": { \"keys\": \"etc/my \\\"keys\\\"\" }\n\n\
                Each server needs three files in the folder that security.keys names on its machine: ca.pem, <SERVER>.pem and\n\
                <SERVER>.key, as they are here. ca.key is for the next keygen only: whoever has it can join the herd, so keep it where no\n\
                server runs. A server that runs takes new files at SIGHUP.\n";
    check(&output, 0, Some(&said.replace("D/", "etc/my \"keys\"/")), "");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let modes: Vec<_> = files(&folder).into_iter().map(|(name, (mode, _))| format!("{name} {mode:o}")).collect();
    assert_eq!(modes, ["Ball.key 600", "Ball.pem 644", "Hill.key 600", "Hill.pem 644", "ca.key 600", "ca.pem 644"]);
    let files = files(&folder);
    for (name, (_, text)) in &files {
        let kind = if name.ends_with(".key") { "PRIVATE KEY" } else { "CERTIFICATE" };
        assert!(text.starts_with(&format!("-----BEGIN {kind}-----")), "{name}");
        assert_eq!(text.matches("-----BEGIN ").count(), 1, "{name}");
        assert!(files.iter().all(|(other, (_, same))| other == name || same != text), "{name} is like another");
    }
}

#[test]
fn a_second_run_makes_only_what_is_missing() {
    let herd = ball_and_hill();
    let folder = herd.folder.path().join("keys");
    keygen(&herd, MAKE);
    let before = files(&folder);
    let kept = "kept keys/ca.pem and keys/ca.key\nkept keys/Ball.pem and keys/Ball.key\nkept keys/Hill.pem and keys/Hill.key\n";
    assert_eq!(keygen(&herd, MAKE), kept);
    assert_eq!(files(&folder), before);

    // A server that is renewed: both files go.
    for file in ["Hill.pem", "Hill.key"] {
        fs::remove_file(folder.join(file)).expect("it was there");
    }
    let said = keygen(&herd, MAKE);
    assert!(said.ends_with("made keys/Hill.key\nmade keys/Hill.pem, good for 365 days\n"), "{said}");
    let renewed = files(&folder);
    assert!(before.iter().all(|(name, file)| (renewed[name] == *file) != name.starts_with("Hill")));

    // What a run that was cut off has left: each certificate is made for the key that is there.
    for file in ["Ball.pem", "ca.pem"] {
        fs::remove_file(folder.join(file)).expect("it was there");
    }
    let said = keygen(&herd, MAKE);
    let expected = "keys/ca.key is here without its certificate, which is made now\nmade keys/ca.pem: the authority's certificate\n\
                    keys/Ball.key is here without its certificate, which is made now\nmade keys/Ball.pem, good for 365 days\n\
                    kept keys/Hill.pem and keys/Hill.key\n";
    assert_eq!(said, expected, "and what the authority has signed before is still good");
    assert_eq!(files(&folder)["Ball.key"], before["Ball.key"]);

    // Keys that were taken to where they are used, and the authority's to a safe place.
    for file in ["Ball.key", "ca.key"] {
        fs::remove_file(folder.join(file)).expect("it was there");
    }
    let expected = "kept keys/ca.pem; its key is not here, and not needed\nkept keys/Ball.pem; its key is not here \
                    (if it is nowhere, remove keys/Ball.pem and run keygen again)\n\
                    kept keys/Hill.pem and keys/Hill.key\n";
    assert_eq!(keygen(&herd, MAKE), expected);
    fs::remove_file(folder.join("Ball.pem")).expect("it was there");
    let why = "proxy-herd: keys/ca.key is not there, and has to sign for 1 of the servers: bring it back; or remove keys/ca.pem";
    check(&run(&herd.folder, MAKE), 1, Some(""), why);
}

#[test]
fn what_is_kept_and_no_good_is_told() {
    let herd = ball_and_hill();
    let folder = herd.folder.path().join("keys");
    keygen(&herd, MAKE);
    for (file, other) in [("Ball.pem", "Hill.pem"), ("Ball.key", "Hill.key")] {
        fs::copy(folder.join(other), folder.join(file)).expect("copied");
    }
    let said = "kept keys/ca.pem and keys/ca.key\nkept keys/Ball.pem and keys/Ball.key, but keys: the certificate Ball.pem is for Hill, \
                not for Ball: where ca.key is, remove Ball.pem and Ball.key, run \"proxy-herd keygen\", and copy what it makes\n\
                kept keys/Hill.pem and keys/Hill.key\n";
    let why = "proxy-herd: what is kept of Ball is no good, as is said above, and was not replaced";
    check(&run(&herd.folder, MAKE), 1, Some(said), why);

    // Another authority's key beside ours.
    keygen(&herd, &["keygen", "--out", "other"]);
    fs::copy(herd.folder.path().join("other/ca.key"), folder.join("ca.key")).expect("copied");
    fs::remove_file(folder.join("Hill.pem")).expect("it was there");
    let before = files(&folder);
    check(
        &run(&herd.folder, MAKE),
        1,
        None,
        "what ca.key signs, ca.pem does not vouch for: do they belong together? (",
    );
    assert_eq!(files(&folder), before, "nothing was made");
    fs::set_permissions(folder.join("ca.key"), Permissions::from_mode(0o640)).expect("it is ours");
    check(&run(&herd.folder, MAKE), 1, None, "others can read keys/ca.key (mode 640): chmod 600 it");
}

#[test]
fn a_bundle_of_authorities_is_kept_and_the_key_of_one_signs() {
    let herd = ball_and_hill();
    let folder = herd.folder.path().join("keys");
    keygen(&herd, MAKE);
    keygen(&herd, &["keygen", "--out", "new"]);
    let [old, new] = ["keys", "new"]
        .map(|folder| fs::read_to_string(herd.folder.path().join(folder).join("ca.pem")).expect("it was made"));
    fs::write(folder.join("ca.pem"), old + &new).expect("it is ours");
    fs::copy(herd.folder.path().join("new/ca.key"), folder.join("ca.key")).expect("copied");
    for file in ["Hill.pem", "Hill.key"] {
        fs::remove_file(folder.join(file)).expect("it was there");
    }
    let said = keygen(&herd, MAKE);
    assert!(
        said.ends_with(
            "kept keys/Ball.pem and keys/Ball.key\nmade keys/Hill.key\nmade keys/Hill.pem, good for 365 days\n"
        ),
        "{said}"
    );
}

/// keygen under a shell's `prefix`.
fn under(herd: &Herd, prefix: &str) -> Command {
    let proxy_herd = command(&herd.folder, &[]);
    let mut shell = Command::new("sh");
    let line = format!("{prefix}; exec \"$0\" keygen --out keys");
    shell.current_dir(herd.folder.path()).args(["-c", &line]).arg(proxy_herd.get_program());
    shell.env_remove("HERD_TOPOLOGY");
    shell
}

#[test]
fn a_run_that_fails_or_is_killed_leaves_no_key_without_saying_so() {
    let herd = ball_and_hill();
    let folder = herd.folder.path().join("keys");
    // No file may grow, as on a full disk: nothing is left of it.
    let output = under(&herd, "trap '' XFSZ; ulimit -f 0").output().expect("runs");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("keys/ca.key: "), "{}", text(&output.stderr));
    assert_eq!(files(&folder), BTreeMap::new());
    // The same, and it is killed for it: the draft stays, and is found.
    let output = under(&herd, "ulimit -c 0; ulimit -f 0").output().expect("runs");
    assert_eq!(output.status.code(), None);
    assert_eq!(files(&folder).keys().collect::<Vec<_>>(), [".ca.key.new"]);
    let why = "proxy-herd: keys/.ca.key.new is left over from a keygen that was cut off, or still runs, and may hold a key: \
               remove it, then run keygen again\n";
    check(&run(&herd.folder, MAKE), 1, Some(""), why);
    fs::remove_file(folder.join(".ca.key.new")).expect("it was there");
    keygen(&herd, MAKE);
    // A folder that nobody may write.
    let other = ball_and_hill();
    fs::write(other.folder.path().join("keys"), "a file").expect("written");
    check(&run(&other.folder, MAKE), 1, Some(""), "proxy-herd: --out: keys: ");
}

#[test]
fn what_cannot_be_certified_is_told() {
    let herd = Herd::new(&["Ball", "ball", "B-"], &[("Ball", "ball"), ("ball", "B-")], EMBEDDED);
    let why = "not every server of this topology can have a certificate:\n\
               $.servers.ball: certificates do not tell ball from Ball; choose names that differ in more than case\n\
               $.servers.B-: no certificate can be for B-; choose a name that does not end with \"-\"\n";
    check(&run(&herd.folder, MAKE), 2, Some(""), &format!("proxy-herd: {why}"));
    assert!(!herd.folder.path().join("keys").exists());
    for days in ["0", "3651", "x"] {
        check(&run(&herd.folder, &["keygen", "--out", "keys", "--days", days]), 2, Some(""), "--days");
    }
    check(&run(&herd.folder, &["keygen"]), 2, Some(""), "--out <DIR>");
    let file = herd.folder.path().join("word.json");
    let server = r#""keygen": { "clients": "127.0.0.1:4001", "peers": "127.0.0.1:4002" }"#;
    fs::write(&file, format!(r#"{{ "herd": "h", "servers": {{ {server} }} }}"#)).expect("written");
    let why = "$.servers.keygen: keygen is a word of the command line; choose another\n";
    check(
        &run(&herd.folder, &["check", "--topology", "word.json"]),
        2,
        Some(""),
        &format!("proxy-herd: word.json is no topology that can be run:\n{why}"),
    );
}
