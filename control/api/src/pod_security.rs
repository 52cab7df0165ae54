//! Pod security: which pods a namespace takes, by the three levels of Kubernetes' pod security standards.
//!
//! A namespace says in its labels which level it enforces, audits and warns of, each at a version of the standards
//! ([`Policy::of_labels`]). [`LevelVersion::judge`] holds a pod, or the template of a workload, against one level. The
//! checks, their order and their words are upstream's (pod-security-admission) as of 1.34.

mod baseline;
mod checks;
mod pods;
mod restricted;

use std::fmt;

use serde_json::{Map, Value};

use crate::status::FieldError;
use checks::{CHECKS, MINOR_MAX};
pub use pods::{changes_matter, template, warnings_for_pods};

/// What the labels of the policy begin with.
pub const LABEL_PREFIX: &str = "pod-security.kubernetes.io/";

/// How strict: each level forbids what the one before forbids, and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything is allowed.
    Privileged,
    /// Known ways out of a container are closed.
    Baseline,
    /// What hardened pods do.
    Restricted,
}

impl Level {
    /// As labels spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Privileged, Self::Baseline, Self::Restricted].into_iter().find(|level| level.as_str() == text)
    }
}

/// A version of the standards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The newest that this server knows.
    Latest,
    /// `v1.MINOR`. One beyond what this server knows counts as its newest.
    Minor(u32),
}

impl Version {
    /// `latest` or `v1.MINOR` without leading zeros.
    fn parse(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self::Latest);
        }
        let digits = text.strip_prefix("v1.")?;
        let plain = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()));
        let minor = digits.parse().ok().filter(|_| plain)?;
        Some(Self::Minor(minor))
    }

    fn minor(self) -> u32 {
        match self {
            Self::Latest => MINOR_MAX,
            Self::Minor(minor) => minor.min(MINOR_MAX),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => formatter.write_str("latest"),
            Self::Minor(minor) => write!(formatter, "v1.{minor}"),
        }
    }
}

/// A level at a version: `restricted:latest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LevelVersion {
    /// How strict.
    pub level: Level,
    /// By which version of the standards.
    pub version: Version,
}

impl LevelVersion {
    const PRIVILEGED: Self = Self { level: Level::Privileged, version: Version::Latest };

    /// What this level has against a pod. `metadata` and `spec` are those of a pod or of a pod template.
    #[must_use]
    pub fn judge(self, metadata: &Value, spec: &Value) -> Verdict {
        let pod = checks::Pod { metadata, spec };
        let findings = CHECKS.iter().filter_map(|check| check.at(self.level, self.version.minor())?(&pod));
        Verdict { findings: findings.collect() }
    }
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.level.as_str(), self.version)
    }
}

/// One check that a pod does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is forbidden: "host namespaces".
    pub reason: String,
    /// Where the pod does it: "hostNetwork=true".
    pub detail: String,
}

/// Every check that a pod does not pass; none when it is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

impl Verdict {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.findings.is_empty()
    }

    /// What is forbidden, without the places.
    #[must_use]
    pub fn reasons(&self) -> String {
        let reasons: Vec<&str> = self.findings.iter().map(|finding| finding.reason.as_str()).collect();
        reasons.join(", ")
    }

    /// What is forbidden, each with its places in parentheses.
    #[must_use]
    pub fn details(&self) -> String {
        let details: Vec<String> = self.findings.iter().map(|finding| finding.to_string()).collect();
        details.join(", ")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detail.is_empty() {
            formatter.write_str(&self.reason)
        } else {
            write!(formatter, "{} ({})", self.reason, self.detail)
        }
    }
}

/// What a namespace wants of its pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A pod that violates this is refused.
    pub enforce: LevelVersion,
    /// A violation of this goes into the audit log.
    pub audit: LevelVersion,
    /// A violation of this is answered with a warning.
    pub warn: LevelVersion,
}

impl Policy {
    /// The policy that labels spell, and what is wrong with them. There always is a policy: a wrong label enforces the
    /// strictest level, and neither audits nor warns. Who enforces more than is warned of is warned of it as well.
    #[must_use]
    pub fn of_labels(labels: Option<&Map<String, Value>>) -> (Self, Vec<FieldError>) {
        let mut policy =
            Self { enforce: LevelVersion::PRIVILEGED, audit: LevelVersion::PRIVILEGED, warn: LevelVersion::PRIVILEGED };
        let mut reader = LabelReader { labels, errors: Vec::new() };
        let enforced = reader.level("enforce", &mut policy.enforce, Level::Restricted);
        reader.version("enforce-version", &mut policy.enforce);
        reader.level("audit", &mut policy.audit, Level::Privileged);
        reader.version("audit-version", &mut policy.audit);
        let warned = reader.has("warn");
        reader.level("warn", &mut policy.warn, Level::Privileged);
        reader.version("warn-version", &mut policy.warn);
        if !warned && enforced && policy.enforce.level > policy.warn.level {
            policy.warn.level = policy.enforce.level;
            if !reader.has("warn-version") {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, reader.errors)
    }

    /// Whether nothing is enforced, audited or warned of.
    #[must_use]
    pub fn is_privileged(&self) -> bool {
        [self.enforce, self.audit, self.warn].iter().all(|one| one.level == Level::Privileged)
    }
}

struct LabelReader<'a> {
    labels: Option<&'a Map<String, Value>>,
    errors: Vec<FieldError>,
}

impl<'a> LabelReader<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.labels?.get(&format!("{LABEL_PREFIX}{name}"))?.as_str()
    }

    fn has(&self, name: &str) -> bool {
        self.text(name).is_some()
    }

    /// True when the label is there and names a level.
    fn level(&mut self, name: &str, into: &mut LevelVersion, otherwise: Level) -> bool {
        let Some(text) = self.text(name) else { return false };
        let level = Level::parse(text);
        into.level = level.unwrap_or(otherwise);
        if level.is_none() {
            self.complain(name, text, "must be one of privileged, baseline, restricted");
        }
        level.is_some()
    }

    fn version(&mut self, name: &str, into: &mut LevelVersion) {
        let Some(text) = self.text(name) else { return };
        let version = Version::parse(text);
        into.version = version.unwrap_or(Version::Latest);
        if version.is_none() {
            self.complain(name, text, "must be \"latest\" or \"v1.x\"");
        }
    }

    fn complain(&mut self, name: &str, text: &str, detail: &str) {
        self.errors.push(FieldError::invalid(format!("metadata.labels[{LABEL_PREFIX}{name}]"), text, detail));
    }
}

#[cfg(test)]
mod tests;
