//! Ports for the programs that a test starts.
//!
//! A port that was given away is free for a while: its program still starts, or is stopped and will come back. So that no test binary beside this one takes it
//! meanwhile, ports are claimed a block at a time, by a lock on a file that the kernel lets go when the binary ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

// Below the range that Linux gives to outgoing connections, so that a port is still free when its owner comes back after a restart.
const FIRST: u16 = 15_000;
const BLOCK: u16 = 100;
const BLOCKS: u16 = 170;

/// Returns a loopback port that is free, and that neither this process nor a test binary beside it has given away before.
///
/// # Panics
/// When every port of the range is taken.
pub fn free_port() -> u16 {
    static CLAIMS: Mutex<Option<Claims>> = Mutex::new(None);
    let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
    let claims = claims.get_or_insert_with(|| Claims::in_directory(&std::env::temp_dir().join("penstock-test-ports")));
    loop {
        let port = claims.next_port();
        // Others than test binaries listen, too.
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// The blocks of this process, and how far they are given away.
struct Claims {
    directory: PathBuf,
    /// The locks that hold its blocks.
    held: Vec<File>,
    /// What is left of the latest block.
    left: Range<u16>,
    /// The block that is tried next, and how many were not tried yet.
    next: u16,
    untried: u16,
}

impl Claims {
    fn in_directory(directory: &Path) -> Self {
        // What cannot be made is told by the first lock.
        let _ = fs::create_dir_all(directory);
        // Not every run begins with the ports that the last one used.
        let next = u16::try_from(std::process::id() % u32::from(BLOCKS)).expect("less than the blocks");
        Self {
            directory: directory.to_owned(),
            held: Vec::new(),
            left: 0..0,
            next,
            untried: BLOCKS,
        }
    }

    fn next_port(&mut self) -> u16 {
        loop {
            if let Some(port) = self.left.next() {
                return port;
            }
            self.claim();
        }
    }

    fn claim(&mut self) {
        let last = FIRST + BLOCKS * BLOCK;
        assert!(
            self.untried > 0,
            "no port from {FIRST} to {last} is free; who holds the files in {}?",
            self.directory.display()
        );
        let block = self.next;
        (self.next, self.untried) = ((block + 1) % BLOCKS, self.untried - 1);
        let lock = File::create(self.directory.join(block.to_string()));
        if let Some(lock) = lock.ok().filter(|lock| lock.try_lock().is_ok()) {
            self.held.push(lock);
            let first = FIRST + block * BLOCK;
            self.left = first..first + BLOCK;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rundir;

    #[test]
    fn a_port_is_given_once_and_can_be_bound() {
        let (first, second) = (free_port(), free_port());
        assert_ne!(first, second);
        TcpListener::bind((Ipv4Addr::LOCALHOST, first)).expect("the port is free");
    }

    #[test]
    fn who_claims_beside_another_is_given_other_ports_until_that_one_ends() {
        let directory = rundir::fresh_data_directory("ports").expect("a directory");
        let (mut one, mut other) = (Claims::in_directory(&directory), Claims::in_directory(&directory));
        let ports = |claims: &mut Claims| -> BTreeSet<u16> { (0..2 * BLOCK).map(|_| claims.next_port()).collect() };
        let (ones, others) = (ports(&mut one), ports(&mut other));
        assert_eq!((ones.len(), others.len()), (200, 200));
        assert!(ones.is_disjoint(&others));
        drop(one);
        assert_eq!(
            ports(&mut Claims::in_directory(&directory)),
            ones,
            "what is let go is given again"
        );
    }
}
