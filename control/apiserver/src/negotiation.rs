//! Which representation a client wants, and which one it sends.

use coracle_control_api::protobuf;
use coracle_control_api::status::Status;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};

/// What the server can write, as a 406 names it.
const WRITABLE: &[&str] = READABLE;
/// What the server can read, as a 415 names it.
const READABLE: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// What the server can stream, as a 406 of a watch names it.
pub(crate) const STREAMABLE: &[&str] =
    &["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
/// More clauses of an Accept header than this are not looked at.
const CLAUSES_MAX: usize = 32;

/// How an answer is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    /// Indented, for people with curl or a browser.
    PrettyJson,
    Yaml,
    Protobuf,
}

/// What has a protobuf form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Messages {
    /// The object and its metadata alone.
    Object,
    /// Its metadata alone: objects of custom resources.
    Metadata,
    /// Nothing: paths that are not about objects.
    None,
}

/// As what an object or a list is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Object,
    Table,
    PartialMetadata,
    PartialMetadataList,
}

/// What was agreed with the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub(crate) encoding: Encoding,
    pub(crate) form: Form,
    /// The version of `meta.k8s.io` for a form other than the object itself.
    pub(crate) form_version: FormVersion,
}

/// A version of `meta.k8s.io` in which tables and partial metadata are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FormVersion {
    V1,
    V1Beta1,
}

impl FormVersion {
    pub(crate) const fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "meta.k8s.io/v1",
            Self::V1Beta1 => "meta.k8s.io/v1beta1",
        }
    }
}

impl Negotiated {
    /// Plain JSON of the object.
    pub(crate) const JSON: Self = Self { encoding: Encoding::Json, form: Form::Object, form_version: FormVersion::V1 };

    /// The encoding alone, for an answer that has only one form.
    pub(crate) const fn as_object(self) -> Self {
        Self { form: Form::Object, ..self }
    }
}

/// The formats of a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    Json,
    Yaml,
    /// What typed clients of client-go send.
    Protobuf,
}

/// The parts of one clause of an Accept header or of a content type.
#[derive(Debug, Default)]
struct MediaType<'a> {
    name: &'a str,
    form: &'a str,
    version: &'a str,
    group: &'a str,
    stream: &'a str,
    pretty: bool,
    quality: f32,
}

fn parse(clause: &str) -> MediaType<'_> {
    let mut parts = clause.split(';').map(str::trim);
    let mut media = MediaType { name: parts.next().unwrap_or_default(), quality: 1.0, ..MediaType::default() };
    for parameter in parts {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match key.trim() {
            "as" => media.form = value,
            "v" => media.version = value,
            "g" => media.group = value,
            "stream" => media.stream = value,
            "pretty" => media.pretty = value == "1",
            "q" => media.quality = value.parse().unwrap_or(1.0),
            _ => {}
        }
    }
    media
}

/// The clauses of the Accept headers, the most wanted first; of equals those without wildcards, then in their order.
fn clauses(headers: &HeaderMap) -> Vec<MediaType<'_>> {
    let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let clauses = texts.flat_map(|text| text.split(',')).map(str::trim).filter(|clause| !clause.is_empty());
    let mut clauses: Vec<_> = clauses.take(CLAUSES_MAX).map(parse).collect();
    let wildcards = |media: &MediaType<'_>| media.name.matches('*').count();
    clauses.sort_by(|one, other| {
        other.quality.total_cmp(&one.quality).then_with(|| wildcards(one).cmp(&wildcards(other)))
    });
    clauses
}

/// Agrees on a representation. `forms` is what the answer can be shown as; `pretty` is the query parameter.
///
/// # Errors
/// 406 when the client takes nothing that there is.
pub(crate) fn negotiate(
    headers: &HeaderMap,
    pretty: Option<&str>,
    forms: &[Form],
    messages: Messages,
) -> Result<Negotiated, Status> {
    let clauses = clauses(headers);
    let fallback = [MediaType { name: "*/*", quality: 1.0, ..MediaType::default() }];
    let clauses = if clauses.is_empty() { &fallback[..] } else { &clauses[..] };
    for clause in clauses {
        let encodings: &[Encoding] = match clause.name {
            "application/json" => &[Encoding::Json],
            "application/yaml" => &[Encoding::Yaml],
            protobuf::MEDIA_TYPE => &[Encoding::Protobuf],
            "application/*" | "*/*" => &[Encoding::Json, Encoding::Yaml, Encoding::Protobuf],
            _ => continue,
        };
        let Some((form, form_version)) = find_form(clause, forms) else { continue };
        let fits = |encoding: &&Encoding| encoding_fits(**encoding, clause, form, messages);
        let Some(encoding) = encodings.iter().find(fits) else { continue };
        let encoding = match encoding {
            Encoding::Json if clause.pretty || wants_pretty(headers, pretty) => Encoding::PrettyJson,
            other => *other,
        };
        return Ok(Negotiated { encoding, form, form_version });
    }
    Err(Status::not_acceptable(WRITABLE))
}

/// Tables have no message, and YAML cannot be streamed.
fn encoding_fits(encoding: Encoding, clause: &MediaType<'_>, form: Form, messages: Messages) -> bool {
    let streams = match clause.stream {
        "" => true,
        "watch" => encoding != Encoding::Yaml,
        _ => false,
    };
    streams
        && (encoding != Encoding::Protobuf
            || match form {
                Form::Object => messages == Messages::Object,
                Form::PartialMetadata | Form::PartialMetadataList => messages != Messages::None,
                Form::Table => false,
            })
}

fn find_form(clause: &MediaType<'_>, forms: &[Form]) -> Option<(Form, FormVersion)> {
    if (clause.form, clause.group, clause.version) == ("", "", "") {
        return Some((Form::Object, FormVersion::V1));
    }
    let version = match (clause.group, clause.version) {
        ("meta.k8s.io", "v1") => FormVersion::V1,
        ("meta.k8s.io", "v1beta1") => FormVersion::V1Beta1,
        _ => return None,
    };
    let form = match clause.form {
        "Table" => Form::Table,
        "PartialObjectMetadata" => Form::PartialMetadata,
        "PartialObjectMetadataList" => Form::PartialMetadataList,
        _ => return None,
    };
    forms.contains(&form).then_some((form, version))
}

/// Whether a person reads the answer: asked for in the query, or guessed from the client's name as upstream does.
fn wants_pretty(headers: &HeaderMap, pretty: Option<&str>) -> bool {
    if let Some(pretty) = pretty {
        return matches!(pretty, "1" | "t" | "T" | "true" | "TRUE" | "True");
    }
    let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|name| agent.starts_with(name))
}

/// The clauses of the Accept header that ask for aggregated discovery, as the version wanted.
pub(crate) fn aggregated_discovery(headers: &HeaderMap) -> Option<&'static str> {
    for clause in clauses(headers) {
        if !matches!(clause.name, "application/json" | "application/*" | "*/*") {
            continue;
        }
        match (clause.form, clause.group, clause.version) {
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => return Some("v2"),
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1") => return Some("v2beta1"),
            ("", _, _) => return None,
            _ => {}
        }
    }
    None
}

/// Whether some clause of the Accept header begins with one of these media types.
pub(crate) fn accepts(headers: &HeaderMap, names: &[&str]) -> bool {
    clauses(headers).iter().any(|clause| names.contains(&clause.name))
}

/// The media type of the body, without parameters; empty when none is told.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map_or("", |text| parse(text).name)
}

/// The format of the body; JSON when none is told.
///
/// # Errors
/// 415 for a format that cannot be read.
pub(crate) fn body_format(headers: &HeaderMap) -> Result<BodyFormat, Status> {
    match content_type(headers) {
        "" | "application/json" | "*/*" => Ok(BodyFormat::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" => Ok(BodyFormat::Yaml),
        protobuf::MEDIA_TYPE => Ok(BodyFormat::Protobuf),
        _ => Err(Status::unsupported_media_type_accepted(READABLE)),
    }
}

#[cfg(test)]
mod tests;
