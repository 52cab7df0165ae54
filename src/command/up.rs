//! `coracle up`: a cluster in this process until a signal comes.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

use crate::cli::UpArguments;
use crate::cluster::{Cluster, ClusterConfig};
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
