//! `coracle up`: a cluster in this process until a signal comes.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use coracle_control_apiserver::AuditLogConfig;

use crate::cli::{AuditArguments, UpArguments};
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
