//! Linux: a filter of system calls (seccomp(2)), which every call of the thread passes from then on.
//!
//! ```text
//!  the calls of another processor, or of none ─┐
//!  on the list ────────────────────────────────┼─► EPERM
//!  clone, for a name space ────────────────────┘
//!  clone3, which keeps its flags where a filter does not look ─► ENOSYS: the C library tries clone
//!  everything else ─► as ever
//! ```
//! For calls that pass whatever their arguments are, the kernel asks the filter once and notes the answer.

use std::io;

use crate::sys::check;

/// What an intruder without root could do, and no server has to.
const REFUSED: [libc::c_long; 17] = [
    // Programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes of the same user.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Name spaces: root in one of them may ask the kernel for much that nobody else may.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Large parts of the kernel that are seldom used, and where the holes have been.
    libc::SYS_bpf,
    libc::SYS_io_uring_setup,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
];

/// The flags of clone(2) that ask for a name space.
const NAME_SPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Of linux/audit.h: the machine as ELF numbers it, 64 bits, the lowest first.
const PROCESSOR: u32 = 0xC000_0000
    | if cfg!(target_arch = "x86_64") {
        62
    } else if cfg!(target_arch = "aarch64") {
        183
    } else {
        243
    };

/// On x86-64 calls with this bit are those of x32, which have other numbers.
const X32: u32 = 0x4000_0000;

/// Where linux/seccomp.h has what a filter looks at, in bytes.
const NUMBER_AT: u32 = 0;
const PROCESSOR_AT: u32 = 4;
const FIRST_ARGUMENT_AT: u32 = 16;

pub(super) fn confine() -> io::Result<bool> {
    let mut steps = filter();
    let program =
        libc::sock_fprog { len: steps.len().try_into().expect("some dozens"), filter: steps.as_mut_ptr() };
    // Without the flag some systems slow the whole process down, against attacks that are between processes.
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the program describes `steps`; both outlive the call, which copies them.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match check(if done == -1 { -1 } else { 0 }) {
        Ok(_) => Ok(true),
        // A kernel that was built without filters, or is older than the flag.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Step by step; a step that is not about this call leaves out the verdict behind it.
fn filter() -> Vec<libc::sock_filter> {
    let mut steps = vec![
        load(PROCESSOR_AT),
        jump(libc::BPF_JEQ, PROCESSOR, 1, 0),
        REFUSE,
        load(NUMBER_AT),
        jump(libc::BPF_JGE, X32, 0, 1),
        REFUSE,
    ];
    steps.extend(REFUSED.iter().flat_map(|call| [is(*call, 1), REFUSE]));
    steps.extend([is(libc::SYS_clone3, 1), answer(libc::SECCOMP_RET_ERRNO, libc::ENOSYS)]);
    steps.extend([is(libc::SYS_clone, 3), load(FIRST_ARGUMENT_AT)]);
    steps.extend([jump(libc::BPF_JSET, NAME_SPACES.cast_unsigned(), 0, 1), REFUSE]);
    steps.push(answer(libc::SECCOMP_RET_ALLOW, 0));
    steps
}

const REFUSE: libc::sock_filter = answer(libc::SECCOMP_RET_ERRNO, libc::EPERM);

/// Takes a word of the call up.
const fn load(at: u32) -> libc::sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at)
}

/// Leaves out so many steps, by what the word that was taken up is to `value`.
const fn jump(condition: u32, value: u32, if_so: u8, if_not: u8) -> libc::sock_filter {
    step(libc::BPF_JMP | libc::BPF_K | condition, if_so, if_not, value)
}

/// Leaves out so many steps unless it is this call.
#[expect(clippy::cast_possible_truncation, reason = "calls have small numbers")]
const fn is(call: libc::c_long, if_not: u8) -> libc::sock_filter {
    jump(libc::BPF_JEQ, call as u32, 0, if_not)
}

const fn answer(verdict: u32, error: libc::c_int) -> libc::sock_filter {
    step(libc::BPF_RET | libc::BPF_K, 0, 0, verdict | error.cast_unsigned())
}

#[expect(clippy::cast_possible_truncation, reason = "the codes are those of sixteen bits")]
const fn step(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}
