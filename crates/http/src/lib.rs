//! The edge as a [`tower_service::Service`]: takes uploads, publishes, serves every deployment by hostname.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use favonius_http::{Backends, Edge, EdgeOptions};
//! # async fn run(backends: Backends, options: EdgeOptions) -> Result<(), favonius_http::ServerError> {
//! let edge = Edge::new(backends, options);
//! // Mount `edge` in a server of your own, or use the one that comes with it:
//! let listener = favonius_http::Listener::bind(favonius_http::Bind::DualStack, 8080)?;
//! favonius_http::Server::new(edge).run(listener, std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What a request is answered with:
//!
//! 1. Control routes win on every host: `POST /upload`, `POST /publish`, `GET /__get_application_hash_list__`,
//!    `/healthz`, `/readyz`, `/startupz`, what is below `/__favonius/`, and `/metrics` where something is measured and no
//!    port of its own is set.
//! 2. `/__zephyr/v1/{v|t|e}/<route key>/<path>` picks a deployment by route key.
//! 3. Everything else belongs to the deployment that the hostname stands for.
//!
//! # Assumptions
//! Whatever stands before the edge forwards `Host` unchanged. If it rewrites it, every application looks like one.

mod bearer;
mod body;
mod coding;
mod control;
mod cross_origin;
mod deployments;
mod edge;
mod failure;
mod flight;
mod handle;
mod memory;
mod metrics;
mod observe;
mod probes;
mod regions;
mod request_id;
mod route;
mod serve;
mod server;
mod tally;
mod upload;

pub use body::EdgeBody;
pub use edge::{Backends, Edge, EdgeFuture, EdgeOptions};
pub use metrics::{BearerToken, MetricsOptions};
pub use probes::ReadyWhen;
pub use server::{Bind, Listener, Server, ServerError, ServerOptions, TlsFiles};
