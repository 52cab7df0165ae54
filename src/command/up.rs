//! `coracle up`: a cluster in this process until a signal comes.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use coracle_control_apiserver::{AuditLogConfig, OidcConfig, OidcConfigError};

use crate::cli::{AuditArguments, OidcArguments, UpArguments};
use crate::cluster::{AuditConfig, Cluster, ClusterConfig};
use crate::system::StopSignals;

pub(crate) fn execute(arguments: &UpArguments) -> Result<ExitCode> {
    let started = Instant::now();
    super::start_logging();
    let config = ClusterConfig {
        api_address: arguments.api,
        api_only: arguments.api_only,
        enabled_admission_plugins: arguments.enable_admission_plugins.clone(),
        disabled_admission_plugins: arguments.disable_admission_plugins.clone(),
        runtime_config: arguments.runtime_config.clone(),
        host_paths: arguments.allow_host_path.clone(),
        token_auth_file: arguments.token_auth_file.clone(),
        service_account_issuer: arguments.account_tokens.service_account_issuer.clone(),
        api_audiences: arguments.account_tokens.api_audiences.clone(),
        service_account_max_token_expiration: arguments.account_tokens.service_account_max_token_expiration,
        oidc: oidc_config(&arguments.oidc)?,
        audit: audit_config(&arguments.audit),
        ..ClusterConfig::new(arguments.data.resolve()?)
    };
    super::runtime()?.block_on(async {
        let mut signals = StopSignals::listen()?;
        let cluster = Cluster::start(config).await?;
        println!(
            "Coracle is ready on {} with KUBECONFIG={} after {} ms",
            cluster.url(),
            cluster.kubeconfig().display(),
            started.elapsed().as_millis()
        );
        let ended = tokio::select! {
            // Both arms only wait: nothing is lost when the other one wins.
            () = signals.received() => Ok(()),
            failure = cluster.failed() => Err(failure),
        };
        cluster.stop().await;
        ended
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The issuer that the flags describe, if any of them is given; whether it can be used is checked with the rest.
fn oidc_config(arguments: &OidcArguments) -> Result<Option<OidcConfig>> {
    let texts = [
        &arguments.oidc_issuer_url,
        &arguments.oidc_client_id,
        &arguments.oidc_username_claim,
        &arguments.oidc_username_prefix,
        &arguments.oidc_groups_claim,
        &arguments.oidc_groups_prefix,
    ];
    let lists = [&arguments.oidc_required_claim, &arguments.oidc_signing_algs];
    if texts.iter().all(|text| text.is_none())
        && lists.iter().all(|list| list.is_empty())
        && arguments.oidc_ca_file.is_none()
    {
        return Ok(None);
    }
    let [issuer, client, username_claim, username_prefix, groups_claim, groups_prefix] =
        texts.map(|text| text.clone().unwrap_or_default());
    let mut config = OidcConfig { username_prefix, groups_claim, groups_prefix, ..OidcConfig::new(issuer, client) };
    if arguments.oidc_username_claim.is_some() {
        config.username_claim = username_claim;
    }
    if !arguments.oidc_signing_algs.is_empty() {
        config.signing_algorithms.clone_from(&arguments.oidc_signing_algs);
    }
    for claim in &arguments.oidc_required_claim {
        let (name, value) = claim.split_once('=').ok_or(OidcConfigError::RequiredClaim)?;
        config.required_claims.insert(name.to_owned(), value.to_owned());
    }
    if let Some(path) = &arguments.oidc_ca_file {
        let pem = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        config.authorities_pem = Some(pem);
    }
    Ok(Some(config))
}

/// The two files come together or not at all.
fn audit_config(arguments: &AuditArguments) -> Option<AuditConfig> {
    let (policy_file, path) = arguments.audit_policy_file.clone().zip(arguments.audit_log_path.clone())?;
    Some(AuditConfig {
        policy_file,
        log: AuditLogConfig {
            path,
            age_days_max: arguments.audit_log_maxage,
            backups_max: arguments.audit_log_maxbackup,
            size_mebibytes_max: arguments.audit_log_maxsize,
        },
    })
}
