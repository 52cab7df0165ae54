//! The kubeconfig that `coracle up` writes: one cluster, one user with a client certificate, one context.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::defaults::NODE_NAME as NAME;

/// What a client needs to reach the API server, as PEM.
#[derive(Debug)]
pub(crate) struct Credentials<'a> {
    pub(crate) server: &'a str,
    pub(crate) ca_pem: &'a str,
    pub(crate) certificate_pem: &'a str,
    pub(crate) key_pem: &'a str,
}

/// Writes `path` with mode 0600, all of it or nothing.
///
/// # Errors
/// When the directory cannot be written.
pub(crate) fn write(path: &Path, credentials: &Credentials<'_>) -> Result<()> {
    let directory = path.parent().context("a kubeconfig needs a directory")?;
    // A temporary file is created with mode 0600 and keeps it through the rename.
    let mut file = tempfile::NamedTempFile::new_in(directory)
        .with_context(|| format!("cannot write in {}", directory.display()))?;
    file.write_all(render(credentials).as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// The kubeconfig as YAML. Only base64 and a URL are filled in, so nothing needs quoting.
fn render(credentials: &Credentials<'_>) -> String {
    let Credentials { server, ca_pem, certificate_pem, key_pem } = credentials;
    let [ca, certificate, key] = [ca_pem, certificate_pem, key_pem].map(|pem| STANDARD.encode(pem));
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         current-context: {NAME}\n\
         clusters:\n\
         - name: {NAME}\n\
        \x20 cluster:\n\
        \x20   server: {server}\n\
        \x20   certificate-authority-data: {ca}\n\
         users:\n\
         - name: {NAME}-admin\n\
        \x20 user:\n\
        \x20   client-certificate-data: {certificate}\n\
        \x20   client-key-data: {key}\n\
         contexts:\n\
         - name: {NAME}\n\
        \x20 context:\n\
        \x20   cluster: {NAME}\n\
        \x20   user: {NAME}-admin\n"
    )
}
