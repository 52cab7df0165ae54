//! The volumes of one pod over its life: set up before the first container starts, followed while it runs.
//!
//! Everything is driven by watches: an object that was missing and appears, or that changes, is written at once. What
//! has a time is a token, which is renewed when four fifths of its life are over, and the size of an emptyDir with a
//! limit, which is measured every ten seconds as upstream's eviction manager does.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use coracle_control_api::quantity::Quantity;
use coracle_host_network::PodKey;
use futures::FutureExt as _;
use futures::future::{pending, select_all};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ObjectReference, Pod, ServiceAccount, Volume};
use kube::Api;
use kube::api::PostParams;
use tokio::sync::watch;

use super::atomic::{self, Files};
use super::render::{self, Material, TokenSpec};
use super::{PodSpace, host_path};
use crate::agent::Shared;
use crate::deadline::in_time;
use crate::environment::{Facts, SourceName};
use crate::life::{EventKind, PodEvent, after, elapsed};
use crate::references::{Known, Reference};

/// First and longest wait before volumes are tried again although nothing has changed, as upstream has them.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(122));
/// Time between two measurements of volumes with a limit.
const MEASURE_PERIOD: Duration = Duration::from_secs(10);
/// The longest that a token is used, however long it holds.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// The shortest time between two requests for one token.
const TOKEN_RETRY: Duration = Duration::from_secs(10);
/// Files of a volume that are counted at most: a measurement has an end.
const MEASURED_FILES_MAX: u32 = 1_000_000;

/// What a keeper is made from.
pub(crate) struct KeeperConfig {
    pub(crate) shared: Arc<Shared>,
    pub(crate) key: PodKey,
    pub(crate) about: ObjectReference,
    pub(crate) facts: Facts,
    pub(crate) space: PodSpace,
    pub(crate) pod: watch::Receiver<Arc<Pod>>,
}

struct Token {
    text: String,
    renew_at: Timestamp,
    expires_at: Timestamp,
}

struct Watched {
    reference: Arc<Reference>,
    known: watch::Receiver<Known>,
}

/// Why the volumes are not as they should be.
struct Failure {
    volume: String,
    message: String,
}

/// Keeps the volumes of one pod.
pub(crate) struct Keeper {
    config: KeeperConfig,
    watched: HashMap<SourceName, Watched>,
    tokens: HashMap<TokenSpec, Token>,
    /// What each volume shows now, as a hash of its files.
    written: HashMap<String, u64>,
    versions: u32,
}

/// Whether the pod has anything that must be set up or followed.
fn concerns(pod: &Pod) -> bool {
    volumes(pod).iter().any(|volume| {
        let limited = volume.empty_dir.as_ref().is_some_and(|empty| empty.size_limit.is_some());
        render::is_rendered(volume) || volume.host_path.is_some() || limited
    })
}

fn volumes(pod: &Pod) -> &[Volume] {
    pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default()
}

impl Keeper {
    /// A keeper, if the pod has anything to keep.
    pub(crate) fn new(config: KeeperConfig) -> Option<Self> {
        let needed = concerns(&config.pod.borrow());
        let new =
            Self { config, watched: HashMap::new(), tokens: HashMap::new(), written: HashMap::new(), versions: 0 };
        needed.then_some(new)
    }

    /// Makes all volumes. What is missing is told by Events and waited for.
    ///
    /// # Cancel safety
    /// Dropping the future gives it up; a file may have been written.
    pub(crate) async fn set_up(&mut self) {
        let mut wait = RETRY.0;
        loop {
            match self.refresh(Timestamp::now()).await {
                Ok(()) => return,
                Err(failure) => self.report(&failure),
            }
            // Whatever wakes it, it looks at everything again.
            let _timed_out = tokio::time::timeout(wait, self.changed()).await;
            wait = (wait * 2).min(RETRY.1);
        }
    }

    /// Follows what the volumes show, until one outgrows its limit: answers kubelet's words for that.
    pub(crate) async fn keep(mut self) -> String {
        let limited = volumes(&self.config.pod.borrow())
            .iter()
            .any(|volume| volume.empty_dir.as_ref().is_some_and(|empty| empty.size_limit.is_some()));
        let mut retry: Option<Duration> = None;
        loop {
            let now = Timestamp::now();
            let renew = self.tokens.values().map(|token| token.renew_at).min().map(|time| elapsed(now, time));
            let measure = limited.then_some(MEASURE_PERIOD);
            let wake = renew.filter(|_| retry.is_none()).into_iter().chain(measure).chain(retry).min();
            tokio::select! {
                // Cancel-safe: both only wait, and what has changed is looked at afterwards.
                () = self.changed() => {}
                () = sleep(wake) => {}
            }
            retry = match self.refresh(Timestamp::now()).await {
                Ok(()) => None,
                Err(failure) => {
                    self.report(&failure);
                    Some(retry.map_or(RETRY.0, |wait| (wait * 2).min(RETRY.1)))
                }
            };
            if limited && let Some(message) = self.outgrown().await {
                return message;
            }
        }
    }

    fn report(&self, failure: &Failure) {
        let message = format!("MountVolume.SetUp failed for volume \"{}\" : {}", failure.volume, failure.message);
        let event = PodEvent { kind: EventKind::Warning, reason: "FailedMount", message, field_path: None };
        self.config.shared.events.record(self.config.about.clone(), event);
    }

    /// Waits until an object that a volume shows, or the pod itself, is another one than was seen.
    async fn changed(&mut self) {
        let pod = &mut self.config.pod;
        let objects = self.watched.values_mut().map(|watched| {
            async {
                if watched.known.changed().await.is_err() {
                    pending::<()>().await;
                }
            }
            .boxed()
        });
        let pod = async {
            // Without a sender the pod is ending, and so is this.
            if pod.changed().await.is_err() {
                pending::<()>().await;
            }
        };
        select_all(objects.chain([pod.boxed()])).await;
    }

    /// Brings every volume to what it should show.
    async fn refresh(&mut self, now: Timestamp) -> Result<(), Failure> {
        let pod = Arc::clone(&self.config.pod.borrow_and_update());
        let mut objects = HashMap::new();
        for volume in volumes(&pod) {
            let failed = |message: String| Failure { volume: volume.name.clone(), message };
            if let Some(source) = &volume.host_path {
                let (source, shared) = (source.clone(), self.config.shared.config.host_paths.clone());
                let checked = blocking(move || host_path::resolve(&source, &shared)).await;
                checked.map_err(failed)?;
            }
            for name in render::needs(volume) {
                let found = self.read(&name).await.map_err(failed)?;
                objects.insert(name, found);
            }
            for spec in render::tokens(volume) {
                self.fetch_token(&pod, &spec, now).await.map_err(failed)?;
            }
        }
        self.watched.retain(|name, _| objects.contains_key(name));
        let tokens = self.tokens.iter().map(|(spec, token)| (spec.clone(), token.text.clone())).collect();
        let material = Material { pod: &pod, facts: &self.config.facts, objects: &objects, tokens: &tokens };
        let mut work = Vec::new();
        for volume in volumes(&pod).iter().filter(|volume| render::is_rendered(volume)) {
            let failed = |message: String| Failure { volume: volume.name.clone(), message };
            let files = render::files(volume, &material).map_err(failed)?;
            let mark = mark(&files);
            if self.written.get(&volume.name) != Some(&mark) {
                self.versions += 1;
                let version = format!("{}.{:04}", now.strftime("%Y_%m_%d_%H_%M_%S.%9f"), self.versions);
                work.push((volume.name.clone(), self.config.space.volume(volume), files, mark, version));
            }
        }
        if work.is_empty() {
            return Ok(());
        }
        let written = blocking(move || write_all(work)).await;
        written.map(|done| self.written.extend(done))
    }

    /// The object as it is now, watched from now on.
    async fn read(&mut self, name: &SourceName) -> Result<Option<Arc<crate::references::Data>>, String> {
        let watched = self.watched.entry(name.clone()).or_insert_with(|| {
            let reference = self.config.shared.references.watch(&self.config.key.namespace, name);
            Watched { known: reference.subscribe(), reference }
        });
        watched.reference.read().await;
        match &*watched.known.borrow_and_update() {
            Known::Present(data) => Ok(Some(Arc::clone(data))),
            Known::Missing => Ok(None),
            Known::Unreadable(message) => Err(message.clone()),
            Known::Unread => Err("timed out waiting for the condition".to_owned()),
        }
    }

    async fn fetch_token(&mut self, pod: &Pod, spec: &TokenSpec, now: Timestamp) -> Result<(), String> {
        if self.tokens.get(spec).is_some_and(|token| now < token.renew_at) {
            return Ok(());
        }
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
        let key = &self.config.key;
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: spec.audience.clone().into_iter().collect(),
                expiration_seconds: Some(spec.seconds),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(key.name.clone()),
                    uid: Some(key.uid.clone()),
                }),
            },
            ..TokenRequest::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(self.config.shared.client.clone(), &key.namespace);
        let answer = in_time(api.create_token_request(account, &PostParams::default(), &request)).await;
        let status = match answer {
            Ok(answer) => answer.status.ok_or_else(|| "failed to fetch token: the answer has none".to_owned())?,
            Err(error) => {
                // A token that still holds is better than none.
                let holding = self.tokens.get_mut(spec).filter(|token| now < token.expires_at);
                let Some(token) = holding else { return Err(format!("failed to fetch token: {error}")) };
                token.renew_at = after(now, TOKEN_RETRY);
                tracing::debug!(%error, "a token was not renewed and is used on");
                return Ok(());
            }
        };
        let expires_at = status.expiration_timestamp.0;
        // A clock that is ahead of the server's must not turn into a request without end.
        let use_for = (elapsed(now, expires_at) * 4 / 5).clamp(TOKEN_RETRY, TOKEN_AGE_MAX);
        let renew_at = after(now, use_for);
        self.tokens.insert(spec.clone(), Token { text: status.token, renew_at, expires_at });
        Ok(())
    }

    /// The first volume that has outgrown its limit, in kubelet's words.
    async fn outgrown(&self) -> Option<String> {
        let pod = Arc::clone(&self.config.pod.borrow());
        let limits: Vec<_> = volumes(&pod)
            .iter()
            .filter_map(|volume| {
                let limit = &volume.empty_dir.as_ref()?.size_limit.as_ref()?.0;
                let bytes = u64::try_from(limit.parse::<Quantity>().ok()?.value()).ok().filter(|bytes| *bytes > 0)?;
                Some((volume.name.clone(), limit.clone(), bytes, self.config.space.volume(volume)))
            })
            .collect();
        blocking(move || {
            let over = limits.into_iter().find(|(_, _, bytes, path)| size_bytes(path) > *bytes);
            over.map(|(name, limit, ..)| format!("Usage of EmptyDir volume \"{name}\" exceeds the limit \"{limit}\". "))
        })
        .await
    }
}

type Work = (String, PathBuf, Files, u64, String);

fn write_all(work: Vec<Work>) -> Result<Vec<(String, u64)>, Failure> {
    let mut done = Vec::new();
    for (volume, directory, files, mark, version) in work {
        match atomic::write(&directory, &files, &version) {
            Ok(()) => done.push((volume, mark)),
            Err(error) => return Err(Failure { volume, message: error.to_string() }),
        }
    }
    Ok(done)
}

fn mark(files: &Files) -> u64 {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    hasher.finish()
}

/// Bytes that the files below a directory take. Links are not followed: they are the guest's to make.
fn size_bytes(directory: &Path) -> u64 {
    let (mut bytes, mut files, mut open) = (0_u64, 0, vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            files += 1;
            if files > MEASURED_FILES_MAX {
                return bytes;
            }
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => open.push(entry.path()),
                Ok(metadata) if metadata.is_file() => bytes = bytes.saturating_add(metadata.len()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    bytes
}

/// Work on the disk, away from the threads that guests run on. A panic in it is one here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is ending, and so is this task.
        Err(_) => pending().await,
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
