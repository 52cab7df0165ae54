//! An HTTP server in a component: says hello from its pod, and counts words that are sent to it.

use coracle_guest_sdk::http::{Request, Response};

coracle_guest_sdk::serve!(handle);

/// The most of a text that is read, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;

fn handle(mut request: Request) -> Response {
    match (request.method(), request.path()) {
        ("GET" | "HEAD", "/") => hello(),
        ("POST", "/words") => match request.read_body(TEXT_BYTES_MAX) {
            Ok(text) => Response::text(format!("{}\n", String::from_utf8_lossy(&text).split_whitespace().count())),
            Err(error) => Response::text(format!("{error}\n")).status(413),
        },
        (_, "/" | "/words") => Response::text("method not allowed\n").status(405),
        _ => Response::text("not found\n").status(404),
    }
}

fn hello() -> Response {
    let greeting = std::env::var("GREETING").unwrap_or_else(|_| "Hello".to_owned());
    let pod = std::env::var("POD_NAME").unwrap_or_else(|_| "nowhere".to_owned());
    Response::text(format!("{greeting} from pod {pod}, a WebAssembly component.\n"))
}
