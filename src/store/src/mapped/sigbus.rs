//! What is left when a mapped page cannot be read or written after all: a disk error below the mapping, or a file that
//! somebody else cut. The kernel sends SIGBUS; this handler says which file and where, and the process ends as it
//! would have without it.
//!
//! The handler allocates nothing and takes no lock: it looks through a fixed table of atomics.

use std::ffi::CString;
use std::path::Path;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Mappings that can be named; those beyond are just not.
const MAX: usize = 1024;

struct Entry {
    /// 0: free. 1: being filled.
    start: AtomicUsize,
    len: AtomicUsize,
    path: AtomicPtr<libc::c_char>,
}

static TABLE: [Entry; MAX] = [const {
    Entry { start: AtomicUsize::new(0), len: AtomicUsize::new(0), path: AtomicPtr::new(ptr::null_mut()) }
}; MAX];

static INSTALL: Once = Once::new();

/// A mapping's place in the table, until dropped.
pub(super) struct Named(Option<&'static Entry>);

/// Notes that the file at `path` is mapped at `start`.
pub(super) fn name(path: &Path, start: usize, len: usize) -> Named {
    INSTALL.call_once(install);
    let Ok(path) = CString::new(path.as_os_str().as_encoded_bytes()) else { return Named(None) };
    let free =
        TABLE.iter().find(|e| e.start.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Relaxed).is_ok());
    if let Some(entry) = free {
        entry.len.store(len, Ordering::Relaxed);
        entry.path.store(path.into_raw(), Ordering::Relaxed);
        entry.start.store(start, Ordering::Release);
    }
    Named(free)
}

impl Drop for Named {
    fn drop(&mut self) {
        if let Some(entry) = self.0 {
            // Not free yet: nobody else may take it while the name is given back.
            entry.start.store(1, Ordering::Release);
            let path = entry.path.swap(ptr::null_mut(), Ordering::AcqRel);
            debug_assert!(!path.is_null());
            // SAFETY: came from `CString::into_raw` in `name`; only this entry's owner swaps it out. A handler that
            // still reads it runs because of a fault in another mapping; the process is about to end then.
            drop(unsafe { CString::from_raw(path) });
            entry.start.store(0, Ordering::Release);
        }
    }
}

fn install() {
    // SAFETY: the struct is plain data, zero is a valid value for each field that is not set; the handler only calls
    // what signal handlers may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        // Once: the second fault, or the return to the first, ends the process by the default action.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESETHAND;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &action, ptr::null_mut());
    }
}

extern "C" fn handler(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid siginfo to a SA_SIGINFO handler.
    let address = unsafe { (*info).si_addr() } as usize;
    say(b"oxmq: SIGBUS: a mapped page cannot be read or written");
    for entry in &TABLE {
        let start = entry.start.load(Ordering::Acquire);
        if start > 1 && address >= start && address - start < entry.len.load(Ordering::Relaxed) {
            let path = entry.path.load(Ordering::Relaxed);
            if !path.is_null() {
                say(b": file ");
                // SAFETY: a string of `CString::into_raw`, see `Named::drop`.
                say(unsafe { std::ffi::CStr::from_ptr(path) }.to_bytes());
                say(b" offset ");
                say_number(address - start);
            }
            break;
        }
    }
    say(b"; check the disk and whether the file was cut\n");
    // Returning runs the faulting instruction again, now with the default action: the core shows the place.
}

fn say(text: &[u8]) {
    // SAFETY: writes from a valid slice; write(2) may be called in a signal handler.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}

fn say_number(mut n: usize) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    say(&digits[at..]);
}
