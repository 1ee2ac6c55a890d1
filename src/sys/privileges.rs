//! To be somebody else from now on: user, group, and the promise never to gain more.
//!
//! Supplementary groups first, then the group, then the user: afterwards nothing of it would be allowed. The
//! C library's functions change all threads of the process at once.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use super::check;

#[cfg_attr(any(target_os = "linux", target_os = "android"), path = "privileges/linux.rs")]
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), path = "privileges/fallback.rs")]
mod system;

/// The first size of a buffer for an entry of the user database, in bytes, and the last.
const ENTRY_BYTES: usize = 4 * 1024;
const ENTRY_BYTES_MAX: usize = 1024 * 1024;

/// Whom a process can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    user: libc::uid_t,
    group: libc::gid_t,
}

impl User {
    /// `NAME`, `NAME:GROUP`, or numbers in place of either. Without a group: the user's own; for a number
    /// that is no user's, the group of the same number.
    ///
    /// # Errors
    /// `NotFound` if the system knows no such user or group.
    pub fn find(text: &str) -> io::Result<Self> {
        let (name, group) = match text.split_once(':') {
            Some((name, group)) => (name, Some(group)),
            None => (text, None),
        };
        let unknown = |kind: &str, name: &str| {
            let text =
                format!("there is no {kind} `{name}`: see /etc/passwd and /etc/group, or give a number");
            io::Error::new(io::ErrorKind::NotFound, text)
        };
        let (user, own_group) = match name.parse() {
            Ok(number) => (number, entry(|at| by_number(number, at))?.map_or(number, |found| found.pw_gid)),
            Err(_) => {
                let wanted = c_string(name)?;
                let found = entry(|at| by_name(&wanted, at))?.ok_or_else(|| unknown("user", name))?;
                (found.pw_uid, found.pw_gid)
            }
        };
        let group = match group {
            None => own_group,
            Some(group) => match group.parse() {
                Ok(number) => number,
                Err(_) => {
                    let wanted = c_string(group)?;
                    let found = entry(|at| group_by_name(&wanted, at))?;
                    found.ok_or_else(|| unknown("group", group))?.gr_gid
                }
            },
        };
        Ok(Self { user, group })
    }

    /// Makes this process, all its threads, that user with that group and no other. There is no way back.
    ///
    /// # Errors
    /// `PermissionDenied` unless the process is root, or that user already; the process is then no use for
    /// serving.
    pub fn assume(self) -> io::Result<()> {
        if self.is_assumed() {
            return Ok(());
        }
        // SAFETY: one group, which outlives the call; the rest are numbers.
        unsafe {
            check(libc::setgroups(1, &raw const self.group))?;
            check(libc::setgid(self.group))?;
            check(libc::setuid(self.user))?;
        }
        // SAFETY: a number; the call is meant to fail.
        let regained = self.user != 0 && unsafe { libc::setuid(0) } == 0;
        if regained || !self.is_assumed() {
            return Err(io::Error::other("the system did not let go of the old user"));
        }
        Ok(())
    }

    /// What `act` gives as that user with that group and no other, on a thread of its own: the process stays
    /// who it is.
    ///
    /// # Errors
    /// `PermissionDenied` unless the process is root; `Unsupported` where threads cannot be different users,
    /// which they can on Linux with 64 bits.
    pub fn try_out<T: Send>(self, act: impl FnOnce() -> T + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let tried = scope.spawn(|| {
                system::assume_on_this_thread(self.user, self.group)?;
                Ok(act())
            });
            tried.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")))
        })
    }

    /// Whether the process is that user already.
    fn is_assumed(self) -> bool {
        // SAFETY: these ask, and cannot fail.
        unsafe {
            libc::getuid() == self.user
                && libc::geteuid() == self.user
                && libc::getgid() == self.group
                && libc::getegid() == self.group
        }
    }
}

/// The calling thread, and those that it starts, never gain privileges by running a program. Returns whether
/// the system knows such a promise (Linux).
///
/// # Errors
/// Whatever prctl(2) reports.
pub fn no_new_privileges() -> io::Result<bool> {
    system::no_new_privileges()
}

/// Whether the process may do everything.
pub fn is_root() -> bool {
    // SAFETY: it asks, and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Where an entry goes: its fixed part, and its texts.
struct Room<E> {
    entry: MaybeUninit<E>,
    texts: Vec<libc::c_char>,
}

/// An entry of the user database. Its texts are gone, its numbers stay.
fn entry<E>(look: impl Fn(&mut Room<E>) -> (libc::c_int, bool)) -> io::Result<Option<E>> {
    let mut room = Room { entry: MaybeUninit::uninit(), texts: vec![0; ENTRY_BYTES] };
    loop {
        match look(&mut room) {
            // SAFETY: the look found an entry and has filled it in.
            (0, true) => return Ok(Some(unsafe { room.entry.assume_init() })),
            // Systems have several words for "not found".
            (0 | libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM, _) => return Ok(None),
            (libc::EINTR, _) => {}
            (libc::ERANGE, _) if room.texts.len() < ENTRY_BYTES_MAX => {
                room.texts.resize(room.texts.len() * 2, 0);
            }
            (code, _) => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

fn by_name(name: &CStr, at: &mut Room<libc::passwd>) -> (libc::c_int, bool) {
    let mut found = ptr::null_mut();
    let (entry, texts, length) = (at.entry.as_mut_ptr(), at.texts.as_mut_ptr(), at.texts.len());
    // SAFETY: the name ends with NUL; the pointers and the length describe `at`, which outlives the call.
    let code = unsafe { libc::getpwnam_r(name.as_ptr(), entry, texts, length, &raw mut found) };
    (code, !found.is_null())
}

fn by_number(number: libc::uid_t, at: &mut Room<libc::passwd>) -> (libc::c_int, bool) {
    let mut found = ptr::null_mut();
    let (entry, texts, length) = (at.entry.as_mut_ptr(), at.texts.as_mut_ptr(), at.texts.len());
    // SAFETY: the pointers and the length describe `at`, which outlives the call.
    let code = unsafe { libc::getpwuid_r(number, entry, texts, length, &raw mut found) };
    (code, !found.is_null())
}

fn group_by_name(name: &CStr, at: &mut Room<libc::group>) -> (libc::c_int, bool) {
    let mut found = ptr::null_mut();
    let (entry, texts, length) = (at.entry.as_mut_ptr(), at.texts.as_mut_ptr(), at.texts.len());
    // SAFETY: the name ends with NUL; the pointers and the length describe `at`, which outlives the call.
    let code = unsafe { libc::getgrnam_r(name.as_ptr(), entry, texts, length, &raw mut found) };
    (code, !found.is_null())
}

fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a name with a NUL byte"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let root = User::find("root").unwrap();
        assert_eq!(root, User { user: 0, group: 0 });
        assert_eq!(User::find("0").unwrap(), root);
        assert_eq!(User::find("root:12").unwrap(), User { user: 0, group: 12 });
        assert_eq!(User::find("4000000001").unwrap(), User { user: 4_000_000_001, group: 4_000_000_001 });
        assert_eq!(User::find("4000000001:7").unwrap(), User { user: 4_000_000_001, group: 7 });
    }

    #[test]
    fn an_unknown_name_is_told() {
        let refusal = |text| User::find(text).unwrap_err();
        assert_eq!(refusal("no-such-user").kind(), io::ErrorKind::NotFound);
        assert!(refusal("no-such-user").to_string().contains("user `no-such-user`"));
        assert!(refusal("root:no-such-group").to_string().contains("group `no-such-group`"));
        assert_eq!(refusal("").kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn one_thread_is_somebody_else() {
        let who = || {
            // SAFETY: these ask, and cannot fail.
            unsafe { (libc::geteuid(), libc::getegid()) }
        };
        let before = who();
        match (User { user: 12345, group: 23456 }).try_out(who) {
            Ok(tried) => assert_eq!(tried, (12345, 23456)),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            Err(error) => assert!(before.0 != 0, "root may: {error}"),
        }
        assert_eq!(who(), before);
    }

    #[test]
    fn to_stay_who_one_is_needs_no_permission() {
        // SAFETY: these ask, and cannot fail.
        let (user, group) = unsafe { (libc::getuid(), libc::getgid()) };
        User { user, group }.assume().unwrap();
    }
}
