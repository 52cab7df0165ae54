//! Serving HTTP from a component, over `wasi:http` 0.2.

use std::fmt;
use std::io::{self, Read, Write};

use wasip2::http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// Bytes that one call may write: the bound of `blocking-write-and-flush` in `wasi:io` 0.2.
const WRITE_BYTES_MAX: usize = 4096;
/// Bytes that one call asks for.
const READ_BYTES: u64 = 64 * 1024;

/// Makes a component of a function `fn(Request) -> Response`. Once per crate.
#[macro_export]
macro_rules! serve {
    ($handler:path) => {
        struct CoracleHttpServer;
        impl $crate::__private::wasip2::exports::http::incoming_handler::Guest for CoracleHttpServer {
            fn handle(
                request: $crate::__private::wasip2::http::types::IncomingRequest,
                out: $crate::__private::wasip2::http::types::ResponseOutparam,
            ) {
                $crate::http::dispatch($handler, request, out);
            }
        }
        $crate::__private::wasip2::http::proxy::export!(CoracleHttpServer);
    };
}

/// Answers one request by the handler: what [`serve!`](crate::serve) expands to.
#[doc(hidden)]
pub fn dispatch(handler: fn(Request) -> Response, request: IncomingRequest, out: ResponseOutparam) {
    handler(Request::new(request)).send(out);
}

/// A request. Its body is read through [`Read`].
pub struct Request {
    method: String,
    target: String,
    inner: IncomingRequest,
    body: Option<Body>,
}

impl Request {
    fn new(inner: IncomingRequest) -> Self {
        let target = inner.path_with_query().unwrap_or_else(|| "/".to_owned());
        Self { method: method_name(inner.method()), target, inner, body: None }
    }

    /// The method in capitals, for example `GET`.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path, with its leading slash and without the query, as it was sent (still percent-encoded).
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// What follows the question mark, as it was sent, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The first value of a header, by its name in any case, if it is there and UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.inner.headers().get(name).into_iter().next().and_then(|value| String::from_utf8(value).ok())
    }

    /// Reads what is left of the body, up to `bytes_max` bytes.
    ///
    /// # Errors
    /// A body that is longer ([`io::ErrorKind::FileTooLarge`]), or one that broke off.
    pub fn read_body(&mut self, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        self.by_ref().take(limit).read_to_end(&mut bytes)?;
        if bytes.len() > bytes_max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("the body has more than {bytes_max} bytes")));
        }
        Ok(bytes)
    }
}

impl Read for Request {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.body.is_none() {
            self.body = Some(Body::new(&self.inner)?);
        }
        self.body.as_mut().map_or(Ok(0), |body| body.read(buffer))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Request").field("method", &self.method).field("target", &self.target).finish_non_exhaustive()
    }
}

/// The body's stream and what was received but not yet asked for.
struct Body {
    // Dropped before the body that it belongs to: a child resource goes first.
    stream: InputStream,
    _parent: wasip2::http::types::IncomingBody,
    received: Vec<u8>,
    position: usize,
}

impl Body {
    fn new(request: &IncomingRequest) -> io::Result<Self> {
        let taken = || io::Error::other("the body was taken before");
        let parent = request.consume().map_err(|()| taken())?;
        let stream = parent.stream().map_err(|()| taken())?;
        Ok(Self { stream, _parent: parent, received: Vec::new(), position: 0 })
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.received.len() {
            self.received = match self.stream.blocking_read(READ_BYTES) {
                Ok(bytes) => bytes,
                Err(StreamError::Closed) => return Ok(0),
                Err(StreamError::LastOperationFailed(error)) => return Err(io::Error::other(error.to_debug_string())),
            };
            self.position = 0;
        }
        let rest = &self.received[self.position..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.position += count;
        Ok(count)
    }
}

/// What is written as a response's body, after its head was sent.
type WriteBody = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()>>;

/// A response: status, headers, and a body that is bytes or a function that writes it.
pub struct Response {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    write_body: WriteBody,
}

impl Response {
    /// A response of that status with no body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), write_body: Box::new(|_| Ok(())) }
    }

    /// A text with status 200.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(200).header("content-type", "text/plain; charset=utf-8").body(text.into())
    }

    /// Another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body, whose length is told in `content-length`.
    #[must_use]
    pub fn body(self, bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let length = bytes.len().to_string();
        self.header("content-length", length).stream(move |writer| writer.write_all(&bytes))
    }

    /// A body that is written while it is sent. `write` runs once the head is on its way; each flush goes out at once.
    #[must_use]
    pub fn stream(mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()> + 'static) -> Self {
        self.write_body = Box::new(write);
        self
    }

    fn send(self, out: ResponseOutparam) {
        let headers = Fields::new();
        for (name, value) in &self.headers {
            if headers.append(name, value).is_err() {
                eprintln!("the header {name} cannot be sent and is left out");
            }
        }
        let response = OutgoingResponse::new(headers);
        if response.set_status_code(self.status).is_err() {
            eprintln!("{} is no status code; 500 is sent", self.status);
            let _valid = response.set_status_code(500);
        }
        let Ok(body) = response.body() else { return };
        ResponseOutparam::set(out, Ok(response));
        let Ok(stream) = body.write() else { return };
        let mut writer = BodyWriter { stream };
        let written = (self.write_body)(&mut writer);
        // The stream is a child of the body and has to go before it.
        drop(writer);
        match written {
            Ok(()) => {
                let _client_gone = OutgoingBody::finish(body, None);
            }
            // Dropping an unfinished body breaks the response off, so that no client takes half of it for the whole.
            Err(error) => eprintln!("the response broke off: {error}"),
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}

struct BodyWriter {
    stream: OutputStream,
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(WRITE_BYTES_MAX);
        self.stream.blocking_write_and_flush(&bytes[..count]).map_err(write_error)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.blocking_flush().map_err(write_error)
    }
}

fn write_error(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone"),
        StreamError::LastOperationFailed(error) => io::Error::other(error.to_debug_string()),
    }
}

fn method_name(method: Method) -> String {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => return name,
    };
    name.to_owned()
}
