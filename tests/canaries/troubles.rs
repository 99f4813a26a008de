//! Places that cannot be had, that know the key by another spelling, or that are asked too much; and servers that stop meanwhile.

use std::time::Duration;

use proxy_herd::herd::topology::{Provider, Rate};
use proxy_herd::server::limits::{OUTSTANDING, QUESTIONS_WAITING};

use crate::stage::{Setting, Who};
use crate::standin::Wire;
use crate::{POSITION, spellings};

/// Each server's client asks, and is told something; the log says why.
#[track_caller]
fn check(setting: &Setting, questions: usize, expected: &str) -> String {
    let played = setting.play(|stage| {
        stage.ask(questions);
        stage.pass(Duration::from_secs(11));
        assert_eq!(stage.answers(), 2 * questions, "{setting:?}");
    });
    let count = played.log.matches(expected).count();
    assert!(count >= 2, "{setting:?} has not shown {expected:?} of both servers: {}", played.log);
    played.asked
}

#[test]
fn nobody_who_can_be_asked() {
    for setting in Setting::all() {
        let asked = check(&Setting { who: Who::Nobody, ..setting.clone() }, 1, "refused");
        assert_eq!(asked, "");
        if setting.wire == Wire::Tls {
            // The network's resolver knows no name.
            let asked = check(&Setting { host: "places.invalid", ..setting.clone() }, 1, "gets no places");
            assert_eq!(asked, "");
            let asked = check(&Setting { is_trusted: false, ..setting.clone() }, 1, "gets no places");
            assert_eq!(asked, "", "who is not trusted does not hear the key");
        }
    }
}

#[test]
fn too_many_questions() {
    for setting in Setting::all() {
        let rate = |per_second, per_day| Setting { rate: Rate { per_second, per_day }, ..setting.clone() };
        check(&rate(None, Some(1)), 3, "places.rate.per_day");
        check(&rate(Some(1), None), 16, "places.rate.per_second");
        let quota = Setting { faults: "quota,retry-after=30".to_owned(), ..setting.clone() };
        let played = quota.play(|stage| {
            stage.ask(1);
            stage.pass(Duration::from_secs(1));
            stage.ask(2);
            stage.pass(Duration::from_secs(1));
            assert_eq!(stage.answers(), 6);
        });
        assert!(played.log.contains("Places is left alone"), "{}", played.log);
        played.check_asked("quota", setting.api);
    }
}

#[test]
fn more_questions_than_may_wait() {
    for setting in Setting::all().filter(|setting| setting.api != Provider::Legacy) {
        let setting = Setting { faults: "silent".to_owned(), ..setting };
        let played = setting.play(|stage| {
            // What somebody else has asked is not asked again: each asks something of its own.
            let crowds = (0..QUESTIONS_WAITING + 2 * OUTSTANDING).step_by(OUTSTANDING);
            crowds.for_each(|first| stage.ask_from(first, OUTSTANDING));
            stage.pass(Duration::from_millis(100));
        });
        assert!(played.log.contains("too many questions wait"), "{}", played.log);
        played.check_asked("silent", setting.api);
    }
}

#[test]
fn servers_that_stop_while_a_question_is_out() {
    for setting in Setting::all() {
        for faults in ["silent", "delay=1000", "no-legacy,delay=1000"] {
            let setting = Setting { faults: faults.to_owned(), ..setting.clone() };
            let played = setting.play(|stage| {
                stage.ask(2);
                stage.pass(Duration::from_millis(50));
                stage.drain();
                stage.pass(Duration::from_secs(20));
                let expected = if faults == "silent" { 0 } else { 4 };
                assert_eq!(stage.answers(), expected, "{faults}");
            });
            played.check_asked(faults, setting.api);
        }
    }
}

#[test]
fn places_that_repeat_the_key_in_other_words() {
    for setting in Setting::all() {
        for spelling in spellings() {
            let bodies = [
                format!(r#"{{"status":"REQUEST_DENIED","error_message":"{spelling} is no key"}}"#),
                format!(r#"{{"status":"{spelling}"}}"#),
                format!(
                    r#"{{"status":"OK","results":[{{"name":"{spelling}"}}],"next_page_token":"?key={spelling}&"}}"#
                ),
                format!(r#"{{"error":{{"status":"PERMISSION_DENIED","message":"{spelling} is no key"}}}}"#),
                format!(r#"{{"places":[{{"id":"1","displayName":{{"text":"{spelling}"}}}}]}}"#),
            ];
            for body in bodies {
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                check(&Setting { who: Who::Says(answer.into()), ..setting.clone() }, 1, "the answer shows the key");
            }
        }
    }
}

#[test]
fn places_that_repeat_the_question_where_a_status_should_be() {
    for setting in Setting::all() {
        for body in [
            format!(r#"{{"status":"NOTHING_NEAR {POSITION}"}}"#),
            format!(r#"{{"error":{{"status":"NOTHING_NEAR {POSITION}","message":"nothing near {POSITION}"}}}}"#),
        ] {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            check(&Setting { who: Who::Says(answer.into()), ..setting.clone() }, 1, "gets no places");
        }
    }
}
