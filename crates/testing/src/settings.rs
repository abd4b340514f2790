//! What a server is called in the worker's configuration.

/// A server that the worker can use, as the settings that make it do so.
pub trait Settings {
    /// Keys (`ZE_WORKER_*`) and their values.
    fn settings(&self) -> Vec<(&'static str, String)>;
}
