//! An address per task: Linux routes all of 127.0.0.0/8 to this host, so each task has one as it would have on awsvpc.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::{Mutex, PoisonError};

/// The addresses that tasks of this agent have.
#[derive(Debug)]
pub(super) struct Addresses {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: BTreeSet<Ipv4Addr>,
    last: u32,
}

/// How many addresses are tried before a task goes without.
const TRIES: usize = 1000;

impl Default for Addresses {
    /// Starts at a place of this process, so that two agents on one host seldom try the same address.
    fn default() -> Self {
        let start = (std::process::id() % 0xffff) << 8;
        Self {
            state: Mutex::new(State {
                taken: BTreeSet::new(),
                last: start,
            }),
        }
    }
}

impl Addresses {
    /// Takes an address on which nobody listens at `port`.
    pub(super) fn take(&self, port: u16) -> Option<Ipv4Addr> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TRIES {
            state.last = (state.last + 1) % 0x00ff_ffff;
            let [_, high, middle, low] = state.last.to_be_bytes();
            let address = Ipv4Addr::new(127, high, middle, low);
            // 127.0.0.x is where everybody else listens; 0 and 255 at the end look like networks.
            let is_usable = (high, middle) != (0, 0) && !matches!(low, 0 | 255) && !state.taken.contains(&address);
            if is_usable && TcpListener::bind(SocketAddrV4::new(address, port)).is_ok() {
                state.taken.insert(address);
                return Some(address);
            }
        }
        None
    }

    /// Gives an address back.
    pub(super) fn give_back(&self, address: Ipv4Addr) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .taken
            .remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tasks_share_an_address() {
        let addresses = Addresses::default();
        let taken: BTreeSet<_> = (0..300).filter_map(|_| addresses.take(0)).collect();
        assert_eq!(taken.len(), 300);
        assert!(taken.iter().all(Ipv4Addr::is_loopback));
    }
}
