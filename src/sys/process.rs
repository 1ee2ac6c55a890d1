//! Processes of this machine, by their numbers: kill(2), proc_pid_stat(5).
//!
//! A number alone says little: another machine has one like it, and so has a container. With the moment at
//! which it began, a process is nobody else.

use std::io;

use super::check;

/// The number of the process that asks.
pub fn own() -> u32 {
    std::process::id()
}

/// When a process began, in ticks of the kernel's clock since the machine did. `None`: nobody has this
/// number here, or the system does not say.
pub fn began(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    start_time(&stat)
}

/// What the program of a process is called, in 15 bytes at most. `None`: it has ended, nobody has this number
/// here, or the system does not say.
pub fn program(process: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    name(&stat).map(str::to_owned)
}

/// Sends `SIGHUP` to a process, if the kernel lets its caller do so.
///
/// # Errors
/// There is none of this number, or it is somebody else's.
pub fn hang_up(process: u32) -> io::Result<()> {
    // To the kernel 0 and less are groups of processes.
    let number = libc::pid_t::try_from(process).ok().filter(|number| *number > 0);
    let number = number.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the call reads and writes no memory of ours.
    check(unsafe { libc::kill(number, libc::SIGHUP) }).map(drop)
}

/// Field 2, unless field 3 says that nothing is left of the process but its number.
fn name(stat: &str) -> Option<&str> {
    let (before, behind) = stat.rsplit_once(") ")?;
    let (_, name) = before.split_once(" (")?;
    (!behind.starts_with(['Z', 'X'])).then_some(name)
}

/// Field 22. The second one is a name in brackets, in which anything may stand.
fn start_time(stat: &str) -> Option<u64> {
    let (_, behind_the_name) = stat.rsplit_once(") ")?;
    behind_the_name.split(' ').nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_moves_no_field() {
        let stat = "42 (a) S 1 (b) S 1 42 42 0 -1 4194304 97 0 0 0 0 0 0 0 20 0 1 0 1234567 2461696 90";
        assert_eq!(start_time(stat), Some(1_234_567));
        assert_eq!([start_time(""), start_time("42 (a) S 1")], [None, None]);
    }

    #[test]
    fn a_process_that_has_ended_has_no_program() {
        assert_eq!(name("42 (a) S 1 (b) S 1 42"), Some("a) S 1 (b"));
        assert_eq!([name("42 (kolk) Z 1 42"), name(""), name("42 (kolk")], [None; 3]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_has_begun_once() {
        assert_ne!(began(own()), None);
        assert_eq!(began(own()), began(own()));
        assert_eq!(began(u32::MAX), None);
        assert!(program(own()).is_some() && program(u32::MAX).is_none());
    }

    #[test]
    fn groups_are_never_meant() {
        for group in [0, u32::MAX] {
            assert_eq!(hang_up(group).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
