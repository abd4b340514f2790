//! Assets in memory.

use std::sync::Arc;

use object_store::{ObjectStore, memory::InMemory};

fn fresh() -> (Arc<dyn ObjectStore>, ()) {
    (Arc::new(InMemory::new()), ())
}

favonius_storage::assets_suite!(fresh);
