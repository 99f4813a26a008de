//! What a server takes for its keys, and what it says of everything else; never what a key is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proxy_herd::server::Keys;
use proxy_herd::server::limits::KEY_FILE;
use tempfile::TempDir;

use crate::authority::{Authority, BOTH_ENDS, Signed, Term, clock, keys, write};
use crate::stage::name;

/// What is wrong with Ball's keys, or nothing; `authorities` and `signed` are what the files hold.
#[track_caller]
fn check(authorities: &str, signed: &Signed, expected: &str) {
    let wrong = keys("Ball", authorities, signed).err().unwrap_or_default();
    assert_eq!(wrong, expected);
    // A line of a key is longer than any word of ours.
    for line in signed.key.lines().filter(|line| line.len() > 20 && !line.starts_with('-')) {
        assert!(!wrong.contains(line) && !wrong.contains(&line[..12]), "{wrong}");
    }
}

const RENEW: &str = "where ca.key is, remove Ball.pem and Ball.key, run \"proxy-herd keygen\", and copy what it makes";

const MAKE: &str = "make it with \"proxy-herd keygen\", or copy it from where that was run";

#[test]
fn keys_are_what_a_neighbour_would_take() {
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let good = ours.sign("Ball");
    check(&ours.pem(), &good, "");
    check(&(other.pem() + &ours.pem()), &good, "");
    check(&ours.pem(), &ours.sign("ball"), "");
    check(&ours.pem(), &ours.sign_for(&["Wilkes", "Ball"], Term::Now, &BOTH_ENDS), "");
    let middle = ours.below("middle");
    let signed = middle.sign("Ball");
    let chain = Signed { certificate: signed.certificate.clone() + &middle.pem(), ..signed.clone() };
    check(&ours.pem(), &chain, "");

    let another = "put that authority's certificate into ca.pem, or have an authority of ca.pem sign another";
    let unknown = format!("the certificate Ball.pem is of another authority (CA): {another}");
    check(&ours.pem(), &signed, &unknown);
    check(&other.pem(), &good, &unknown);
    check(&Authority::new("ours").pem(), &good, &unknown);
    let unfit =
        |signed: Signed, what: &str| check(&ours.pem(), &signed, &format!("the certificate Ball.pem {what}: {RENEW}"));
    unfit(ours.sign("Wilkes"), "is for Wilkes, not for Ball");
    unfit(ours.sign_for(&[], Term::Now, &BOTH_ENDS), "is for nobody, not for Ball");
    unfit(ours.sign_for(&["Ball"], Term::Past, &BOTH_ENDS), "has expired");
    unfit(ours.sign_for(&["Ball"], Term::Future, &BOTH_ENDS), "is not valid yet (are the clocks right?)");
    for purpose in &BOTH_ENDS {
        let half = ours.sign_for(&["Ball"], Term::Now, std::slice::from_ref(purpose));
        unfit(half, "is not made for both ends of a link (serverAuth and clientAuth)");
    }
    let swapped = Signed { key: ours.sign("Ball").key, ..good.clone() };
    check(&ours.pem(), &swapped, &format!("Ball.key is not the key of Ball.pem: {RENEW}"));
}

#[test]
fn files_that_hold_something_else_are_told_and_not_shown() {
    let ours = Authority::new("ours");
    let good = ours.sign("Ball");
    for text in ["", "no PEM", good.key.as_str(), "-----BEGIN CERTIFICATE-----\n=\n-----END CERTIFICATE-----\n"] {
        check(text, &good, &format!("ca.pem holds no certificate (PEM), or what is none: remove it, then {MAKE}"));
        let signed = Signed { certificate: text.to_owned(), ..good.clone() };
        check(&ours.pem(), &signed, &format!("Ball.pem holds no certificate (PEM), or what is none: {RENEW}"));
    }
    let broken = good.key.replace("-----END", "----END");
    for text in ["", "no PEM", good.certificate.as_str(), broken.as_str()] {
        let signed = Signed { key: text.to_owned(), ..good.clone() };
        check(&ours.pem(), &signed, &format!("Ball.key holds no private key (PEM): {RENEW}"));
    }
    let mut lines: Vec<&str> = good.key.lines().collect();
    let canary = lines[1].replace('M', "N");
    lines[1] = &canary;
    let signed = Signed { key: lines.join("\n") + "\n", ..good.clone() };
    check(&ours.pem(), &signed, &format!("Ball.key holds no key that can be used: {RENEW}"));
    let shown = format!("{:?} {:#?}", ours.keys("Ball"), ours.keys("Ball"));
    assert_eq!(shown, "Keys { name: Ball, .. } Keys {\n    name: Ball,\n    ..\n}");
    assert!(
        keys("B-", &ours.pem(), &good).is_err_and(|why| why == "no certificate can be for B-: choose another name")
    );
}

/// What is wrong with the keys in a folder, after `spoil`; `DIR` stands for the folder.
#[track_caller]
fn check_folder(spoil: impl Fn(&Path), expected: &str) {
    let folder = TempDir::new().expect("a folder");
    let ours = Authority::new("ours");
    write(folder.path(), "Ball", &ours.pem(), &ours.sign("Ball"));
    spoil(folder.path());
    let read = Keys::read(folder.path(), &name("Ball"), clock());
    let wrong = read.err().map(|why| why.to_string()).unwrap_or_default();
    assert_eq!(wrong.replace(folder.path().to_str().expect("text"), "DIR"), expected);
}

#[test]
fn a_folder_of_keys_is_read_and_its_faults_are_told_with_the_file() {
    check_folder(|_| (), "");
    for file in ["ca.pem", "Ball.pem", "Ball.key"] {
        let missing = format!("DIR/{file}: is not there: {MAKE}");
        check_folder(|folder| fs::remove_file(folder.join(file)).expect("it was there"), &missing);
        let spoil = |size: u64| {
            move |folder: &Path| {
                let open = fs::OpenOptions::new().write(true).open(folder.join(file)).expect("it is there");
                open.set_len(size).expect("it is ours");
            }
        };
        check_folder(spoil(KEY_FILE + 1), &format!("DIR/{file}: is longer than {KEY_FILE} bytes"));
    }
    // At the limit, what follows the PEM is no matter.
    let fill = |folder: &Path| {
        let file = folder.join("ca.pem");
        let mut text = fs::read(&file).expect("it is there");
        text.resize(KEY_FILE as usize, b'\n');
        fs::write(file, text).expect("it is ours");
    };
    check_folder(fill, "");
    for mode in [0o640, 0o604, 0o620, 0o601] {
        let open = |folder: &Path| {
            fs::set_permissions(folder.join("Ball.key"), Permissions::from_mode(mode)).expect("it is ours");
        };
        let why = format!("others can read this key (mode {mode:o}): chmod 600 it, and renew it if anybody did");
        check_folder(open, &format!("DIR/Ball.key: {why}"));
    }
    check_folder(
        |folder| fs::set_permissions(folder.join("Ball.key"), Permissions::from_mode(0o400)).expect("it is ours"),
        "",
    );
    let ours = Authority::new("other");
    check_folder(
        |folder| fs::write(folder.join("ca.pem"), ours.pem()).expect("it is ours"),
        "DIR: the certificate Ball.pem is of another authority (CA): put that authority's certificate into ca.pem, or have an \
         authority of ca.pem sign another",
    );
}
