//! Who makes a request.

/// The identity of a request's author, as authentication established it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserInfo {
    /// The name that authorization and `managedFields` see, for example `system:node:edge-1`.
    pub name: String,
    /// An identifier that tells users of the same name apart over time; empty when the authenticator has none.
    pub uid: String,
    /// The groups, `system:authenticated` included.
    pub groups: Vec<String>,
    /// What else the authenticator knows, by key.
    pub extra: Vec<(String, Vec<String>)>,
}

/// The group whose members may do everything.
pub(crate) const MASTERS: &str = "system:masters";
/// The group of every user that authentication established.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// The group of every node's agent.
pub(crate) const NODES: &str = "system:nodes";

/// The extra that tells the credentials of one user apart.
pub(crate) const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

impl UserInfo {
    /// A user of that name in these groups, and in `system:authenticated`.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self { name: name.into(), uid: String::new(), groups, extra: Vec::new() }
    }

    /// The administrator: user `system:admin` in the group `system:masters`.
    pub fn admin() -> Self {
        Self::new("system:admin", &[MASTERS])
    }

    /// The agent of a node: user `system:node:NAME` in the group `system:nodes`.
    pub fn node(name: &str) -> Self {
        Self::new(format!("system:node:{name}"), &[NODES])
    }

    /// The scheduler: user `system:kube-scheduler`.
    pub fn scheduler() -> Self {
        Self::new("system:kube-scheduler", &[])
    }

    /// The controllers: user `system:kube-controller-manager`.
    pub fn controllers() -> Self {
        Self::new("system:kube-controller-manager", &[])
    }

    /// Whether the user is a member of the group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|member| member == group)
    }
}
