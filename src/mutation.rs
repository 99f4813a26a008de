//! Rules that a test can turn off, to see that somebody notices.
//!
//! A promise that is tested is worth what its test is: the tests of the simulation take away one rule at a time and must
//! find a herd that breaks a promise. A rule is asked for where it is applied: [`Rule::holds`]. In a release build every
//! rule holds, and the question costs nothing.

/// A rule without which the herd, or the loop, is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// What a neighbour missed is found out and sent: `herd::repair`.
    Repair,
    /// Of two reports with one timestamp the greater (origin, line) stays: `herd::directory`.
    TieBreak,
    /// What is no news is not flooded: `herd::node`.
    DuplicateSuppression,
    /// A report is not flooded back to where it came from: `server::neighbours`.
    SplitHorizon,
    /// A neighbour that does not keep up is not queued for: `server::repairs`.
    Lagging,
    /// The name of a connection that is gone finds nothing, also when its slot is used again: `event_loop::id`.
    Generation,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Repair, Self::TieBreak, Self::DuplicateSuppression, Self::SplitHorizon, Self::Lagging, Self::Generation];

    /// Whether it is not turned off on this thread.
    #[inline]
    pub fn holds(self) -> bool {
        #[cfg(debug_assertions)]
        return OFF.get() != Some(self);
        #[cfg(not(debug_assertions))]
        true
    }

    /// Runs `test` on this thread without the rule. Debug builds only: a release build has no way to turn a rule off.
    #[cfg(debug_assertions)]
    pub fn without<R>(self, test: impl FnOnce() -> R) -> R {
        struct On(Option<Rule>);
        impl Drop for On {
            fn drop(&mut self) {
                OFF.set(self.0);
            }
        }
        let _on = On(OFF.replace(Some(self)));
        test()
    }
}

#[cfg(debug_assertions)]
thread_local! {
    static OFF: std::cell::Cell<Option<Rule>> = const { std::cell::Cell::new(None) };
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_off_for_one_thread_and_one_test() {
        let holding = || Rule::ALL.into_iter().filter(|rule| rule.holds()).count();
        assert_eq!(holding(), 6);
        Rule::Repair.without(|| {
            assert!(!Rule::Repair.holds());
            assert_eq!(holding(), 5);
            std::thread::spawn(move || assert!(Rule::Repair.holds())).join().expect("it holds elsewhere");
        });
        let panicked = std::panic::catch_unwind(|| Rule::Repair.without(|| panic!("a test fails")));
        assert!(panicked.is_err());
        assert_eq!(holding(), 6);
    }
}
