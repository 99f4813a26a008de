//! A server whose log cannot be written, as the disk is full: it goes on serving, and says how much is missing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::command::{EMBEDDED, Herd, converse, in_each_style, until};

#[test]
fn a_full_disk_costs_lines_of_the_log_and_nothing_else() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return crate::skip("a full disk", "this system has no /dev/full");
    }
    in_each_style(|style| {
        let herd = Herd::new(&["Ball"], &[], EMBEDDED);
        let logs = herd.folder.path().join("logs");
        fs::create_dir(&logs).expect("made");
        symlink(full, logs.join("Ball.log")).expect("linked");
        let mut ball = herd.start(style, &["Ball", "--log-dir", "logs"]);
        ball.wait_for(
            "proxy-herd: the log of Ball cannot be written, lines are lost: No space left on device (os error 28)",
        );
        ball.wait_for("proxy-herd: talk to Ball");
        let questions: String = (0..100).map(|number| format!("lost {number}\n")).collect();
        let answers: String = (0..100).map(|number| format!("? lost {number}\n")).collect();
        assert_eq!(converse(herd.clients("Ball"), questions.as_bytes()), answers);

        fs::remove_file(logs.join("Ball.log")).expect("removed");
        ball.signal("USR1");
        // Until the signal has come, what is said is lost, too.
        let log = until(|| {
            assert_eq!(converse(herd.clients("Ball"), b"found\n"), "? found\n");
            let log = fs::read_to_string(logs.join("Ball.log")).ok();
            log.filter(|log| log.contains(" < found\n"))
        });
        let (first, _) = log.split_once('\n').expect("a line");
        let (_, missing) = first.split_once(" WARN Ball could not be written, lines missing here: ").expect(first);
        // That it serves, and listens for both; who came, each question, and its answer. That the client is gone may be told
        // later, and what was said until the signal came, is missing as well.
        assert!(missing.parse::<usize>().expect("a number") >= 3 + 1 + 2 * 100, "{first}");
        ball.wait_for(&format!("proxy-herd: the log of Ball is written again; lines missing: {missing}"));
        ball.signal("TERM");
        assert_eq!(ball.end(), (Some(0), String::new()), "the rest of standard error");
    });
}
