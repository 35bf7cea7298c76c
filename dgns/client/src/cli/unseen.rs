//! What is typed and must not be seen: a terminal that shows nothing of it.

use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// A terminal that does not show what is typed, but for the end of the line; as it was before once this is dropped.
pub(crate) struct Unseen<T: AsFd> {
    terminal: T,
    before: Termios,
}

impl<T: AsFd> Unseen<T> {
    /// Returns `None` where there is no terminal: nothing shows what is read there.
    pub(crate) fn of(terminal: T) -> Option<Self> {
        let before = tcgetattr(&terminal).ok()?;
        let mut after = before.clone();
        after.local_modes.remove(LocalModes::ECHO);
        after.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(&terminal, OptionalActions::Flush, &after).ok()?;
        Some(Self { terminal, before })
    }
}

impl<T: AsFd> Drop for Unseen<T> {
    fn drop(&mut self) {
        // The terminal may be gone, and then nobody looks at it.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::fs::{Mode, OFlags, open};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    #[test]
    fn a_terminal_shows_nothing_while_it_lives_and_all_again_after() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let terminal =
            open(ptsname(&master, Vec::new()).unwrap(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let shows = || tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO);
        assert!(shows());
        let unseen = Unseen::of(&terminal).unwrap();
        assert!(!shows());
        drop(unseen);
        assert!(shows());
        assert!(Unseen::of(File::open("/dev/null").unwrap()).is_none(), "a file is no terminal");
    }
}
