//! favonius-telemetry
