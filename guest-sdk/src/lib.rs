//! What a plugin author needs inside a component that Coracle runs.
//!
//! A program that runs to completion needs nothing of this: an ordinary `fn main` built for `wasm32-wasip2` gets its
//! arguments, environment, files and standard streams from `std`. What `std` does not have is serving HTTP, and that is
//! [`http`]: one function from a request to a response, made into a `wasi:http/incoming-handler` component by
//! [`http::serve!`](crate::serve).
//!
//! ```ignore
//! use coracle_guest_sdk::http::{Request, Response};
//!
//! coracle_guest_sdk::serve!(handle);
//!
//! fn handle(request: Request) -> Response {
//!     Response::text(format!("you asked for {}\n", request.path()))
//! }
//! ```
//!
//! in a crate with `crate-type = ["cdylib"]`, built with `cargo build --target wasm32-wasip2 --release`.
//!
//! # Guarantees
//! - Bodies stream in both directions: nothing here reads a whole body unless it is asked to.
//! - A handler that panics ends its own request, which the host answers with 500, and no other.
//!
//! # Refused alternatives
//! Async handlers: a component instance of WASI 0.2 serves one request at a time, and the host runs as many instances as
//! there are requests. Re-exporting the `http` crate's types: they cost more code than the whole of a small component.

pub mod http;

/// What the macros expand to; not for use by name.
#[doc(hidden)]
pub mod __private {
    pub use wasip2;
}
