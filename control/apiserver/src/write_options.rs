//! The options of a write: dry run, field manager, field validation.

use coracle_control_api::decode::FieldValidation;
use coracle_control_api::status::{FieldError, Status};

use crate::call::Call;

/// The longest name of a field manager, in bytes.
const MANAGER_BYTES_MAX: usize = 128;
/// The manager of a client that does not say who it is.
const MANAGER_UNKNOWN: &str = "unknown";

/// The options of a write.
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    /// Who owns the fields that are written: told, or guessed from the client's name.
    pub(crate) manager: String,
    pub(crate) validation: FieldValidation,
    /// For server-side apply: take fields that others own.
    pub(crate) force: Option<bool>,
}

impl WriteOptions {
    /// Reads the options from the query. `kind` is the name of the options' type in an error: `CreateOptions`.
    ///
    /// # Errors
    /// 422 for a value that is not allowed.
    pub(crate) fn parse(call: &Call, kind: &str) -> Result<Self, Status> {
        let mut errors = Vec::new();
        let dry_run: Vec<&str> = call.query.all("dryRun").filter(|value| !value.is_empty()).collect();
        check_dry_run(&dry_run, &mut errors);
        let manager = call.query.text("fieldManager");
        check_manager(manager, &mut errors);
        let validation = FieldValidation::parse(call.query.text("fieldValidation"));
        if validation.is_none() {
            let given = call.query.text("fieldValidation");
            errors.push(FieldError::not_supported("fieldValidation", given, ["", "Ignore", "Strict", "Warn"]));
        }
        if !errors.is_empty() {
            return Err(Status::invalid("meta.k8s.io", kind, "", &errors));
        }
        Ok(Self {
            dry_run: !dry_run.is_empty(),
            manager: if manager.is_empty() { manager_of_client(call) } else { manager.to_owned() },
            validation: validation.unwrap_or_default(),
            force: call.query.get("force").map(|_| call.query.is_true("force")),
        })
    }
}

/// The only dry run that there is.
pub(crate) fn check_dry_run(values: &[&str], errors: &mut Vec<FieldError>) {
    if values.iter().any(|value| *value != "All") {
        let given = serde_json::Value::from(values.to_vec());
        errors.push(FieldError::not_supported("dryRun", given, ["All"]));
    }
}

fn check_manager(manager: &str, errors: &mut Vec<FieldError>) {
    if manager.len() > MANAGER_BYTES_MAX {
        errors.push(FieldError::too_long("fieldManager", MANAGER_BYTES_MAX));
    }
    if let Some((index, character)) = manager.chars().enumerate().find(|(_, character)| character.is_control()) {
        let detail =
            format!("should only contain printable characters. invalid character at index {index}: {character:?}");
        errors.push(FieldError::invalid("fieldManager", manager, detail));
    }
}

/// The part of the user agent before its version.
fn manager_of_client(call: &Call) -> String {
    let agent = call.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut name = String::new();
    for character in agent.split('/').next().unwrap_or_default().chars().filter(|character| !character.is_control()) {
        if name.len() + character.len_utf8() > MANAGER_BYTES_MAX {
            break;
        }
        name.push(character);
    }
    if name.is_empty() { MANAGER_UNKNOWN.to_owned() } else { name }
}
