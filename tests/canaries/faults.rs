//! Every fault that the stand-in has, by each API, plain and over TLS, in both styles.

use std::time::Duration;

use proxy_herd::herd::topology::Provider;
use proxy_herd::places::faults::Faults;

use crate::stage::Setting;
use crate::standin::Wire;

/// The faults, as the table has them, so that a new one is played without anybody's doing; those with a number with a few, and
/// some that go together.
pub(crate) fn every_fault() -> Vec<String> {
    let mut faults: Vec<String> = [
        "echo-key,chunked",
        "echo-key,until-close",
        "status=429,retry-after=30",
        "status=503,retry-after=30",
        "no-legacy,no-new",
        "no-legacy,cut=500",
        "quota,retry-after=30",
    ]
    .map(str::to_owned)
    .into();
    for line in Faults::table().lines() {
        let form = line.split_whitespace().next().expect("a fault");
        match form.trim_end_matches(']').split_once('=') {
            None => faults.push(form.to_owned()),
            Some((word, number)) => match word.strip_suffix('[') {
                Some(word) => faults.extend([word.to_owned(), format!("{word}={number}")]),
                None => faults.extend(numbers(word).iter().map(|number| format!("{word}={number}"))),
            },
        }
    }
    assert!(faults.iter().all(|fault| Faults::parse(fault).is_ok()), "{faults:?}");
    faults
}

/// Numbers that make a difference.
fn numbers(word: &str) -> &'static [u32] {
    match word {
        "delay" => &[20, 60_000],
        "drip" => &[50],
        "cut" => &[0, 1, 300],
        "status" => &[200, 403, 404, 429, 503],
        "retry-after" => &[30],
        _ => panic!("{word} is new: which numbers make a difference?"),
    }
}

/// Each is asked for once by a client of each server, who is told something.
fn check(wire: Wire, api: Provider) {
    for fault in every_fault() {
        let mut setting = Setting::new(wire, api);
        setting.faults.clone_from(&fault);
        let what = format!("{fault} by {api} ({wire:?})");
        let played = setting.play(|stage| {
            stage.ask(1);
            stage.pass(Duration::from_secs(11));
            assert_eq!(stage.answers(), 2, "{what}");
        });
        played.check_asked(&what, api);
        if fault.contains("echo-key") {
            assert_eq!(played.log.matches("the answer shows the key").count(), 2, "{what}: {}", played.log);
        }
    }
}

#[test]
fn every_fault_of_the_legacy_api() {
    check(Wire::Plain, Provider::Legacy);
    check(Wire::Tls, Provider::Legacy);
}

#[test]
fn every_fault_of_the_new_api() {
    check(Wire::Plain, Provider::New);
    check(Wire::Tls, Provider::New);
}

#[test]
fn every_fault_while_the_api_is_found_out() {
    check(Wire::Plain, Provider::Auto);
    check(Wire::Tls, Provider::Auto);
}
