//! What is being sent. Slow clients hold on to bytes that are in the cache no more, and that must have a bound too.

use std::sync::{
    Arc,
    atomic::Ordering::{AcqRel, Acquire},
};

use bytes::Bytes;

use super::{Held, Memory};

/// What a connection may hold without being counted, in bytes.
const UNCOUNTED: u64 = 64 * 1024;

/// Bytes that are being sent, until the last connection lets go of them.
struct Lent {
    memory: Memory,
    held: Arc<Held>,
}

impl Memory {
    /// The bytes, to be sent as they are. `None` when slow clients hold too much already: then they have to be read in pieces
    /// ([`Memory::open`]).
    pub(crate) fn lend(&self, held: &Arc<Held>) -> Option<Bytes> {
        if held.size() <= UNCOUNTED {
            return Some(held.bytes.clone());
        }
        let bytes = self.lend_anyway(held);
        (self.0.lent.load(Acquire) <= self.0.limit / 8).then_some(bytes)
    }

    /// Lends what cannot be read in pieces.
    pub(crate) fn lend_anyway(&self, held: &Arc<Held>) -> Bytes {
        if held.lenders.fetch_add(1, AcqRel) == 0 {
            self.0.lent.fetch_add(held.size(), AcqRel);
        }
        // A body is gone as soon as the connection has its bytes, so that what is counted goes with the bytes.
        Bytes::from_owner(Lent {
            memory: self.clone(),
            held: Arc::clone(held),
        })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.held.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.held.lenders.fetch_sub(1, AcqRel) == 1 {
            self.memory.0.lent.fetch_sub(self.held.size(), AcqRel);
        }
    }
}
