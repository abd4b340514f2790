//! What ends the process.

/// Target of the events that are logged as `fatal`: `tracing` has no level above `ERROR`.
pub const FATAL_TARGET: &str = "fatal";

/// Logs what ends the process, with the fields and the message that the macros of `tracing` take.
///
/// It only logs: the caller ends the process, in an orderly way and with the fitting status.
///
/// ```
/// favonius_telemetry::fatal!(server.port = 8080, "Cannot listen");
/// ```
#[macro_export]
macro_rules! fatal {
    ($($event:tt)+) => {
        $crate::__tracing::event!(
            target: $crate::FATAL_TARGET,
            $crate::__tracing::Level::ERROR,
            $($event)+
        )
    };
}
