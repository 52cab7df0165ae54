//! The end of an answer that is a stream, which is the end of its request.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use jiff::Timestamp;

use super::event::Event;
use super::log::AuditLog;
use super::policy::Stage;

/// Leaves the last event when the stream ends or its client goes.
pub(super) fn follow(answer: Response, event: Event, log: Option<AuditLog>) -> Response {
    let Some(log) = log else { return answer };
    answer.map(|body| Body::new(Followed { body, event, log }))
}

struct Followed {
    body: Body,
    event: Event,
    log: AuditLog,
}

impl http_body::Body for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.log.write_now(self.event.at(Stage::ResponseComplete, Timestamp::now()));
    }
}
