//! What can go wrong with a webhook, in the words of upstream's client.

use std::error::Error;

use coracle_control_api::go_text;
use serde_json::Value;

/// Characters of an answer that are repeated in a message.
const SHOWN_MAX: usize = 2048;

/// Why a webhook gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookCallError {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
    /// Nobody answered.
    #[error("Post {}: {text}", go_text::quote(.url))]
    Transport {
        /// What was asked.
        url: String,
        /// What happened.
        text: String,
    },
    /// The answer was no success, or cannot be read.
    #[error("{0}")]
    Answer(String),
}

/// The innermost cause of a failed exchange.
pub(crate) fn describe(error: &(dyn Error + 'static)) -> String {
    let mut deepest: &(dyn Error + 'static) = error;
    loop {
        if let Some(tls) = deepest.downcast_ref::<rustls::Error>() {
            return tls_text(tls);
        }
        // An I/O error may carry another one without calling it its source.
        let inner = deepest.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| deepest.source()) {
            Some(next) => deepest = next,
            None => return deepest.to_string(),
        }
    }
}

fn tls_text(error: &rustls::Error) -> String {
    use rustls::CertificateError;
    let cause = match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "x509: certificate signed by unknown authority".to_owned()
        }
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. } | CertificateError::NotValidYet,
        ) => "x509: certificate has expired or is not yet valid".to_owned(),
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented }) => {
            let names = presented.join(", ");
            format!("x509: certificate is valid for {names}, not {}", expected.to_str())
        }
        other => return format!("tls: {other}"),
    };
    format!("tls: failed to verify certificate: {cause}")
}

/// What an answer that is no success says.
pub(super) fn server_said(code: u16, body: &[u8]) -> String {
    if let Ok(status) = serde_json::from_slice::<Value>(body)
        && status.get("kind").and_then(Value::as_str) == Some("Status")
        && let Some(message) = status.get("message").and_then(Value::as_str)
    {
        return message.to_owned();
    }
    let text: String = String::from_utf8_lossy(body).chars().take(SHOWN_MAX).collect();
    match code {
        400 => "the server rejected our request for an unknown reason".to_owned(),
        401 => "the server has asked for the client to provide credentials".to_owned(),
        403 => text.trim().to_owned(),
        404 => "the server could not find the requested resource".to_owned(),
        405 => "the server does not allow this method on the requested resource".to_owned(),
        409 => "the server reported a conflict".to_owned(),
        422 => "the server rejected our request due to an error in our request".to_owned(),
        429 => "the server has received too many requests and has asked us to try again later".to_owned(),
        503 => "the server is currently unable to handle the request".to_owned(),
        504 => {
            "the server was unable to return a response in the time allotted, but may still be processing the request"
                .to_owned()
        }
        _ => {
            let shown = if text.trim().is_empty() { "unknown" } else { text.trim() };
            format!("an error on the server ({}) has prevented the request from succeeding", go_text::quote(shown))
        }
    }
}
