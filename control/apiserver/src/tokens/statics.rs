//! The tokens of the static token file.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Fingerprint, fingerprint};
use crate::config::StaticToken;
use crate::user::UserInfo;

/// The static tokens by their digest.
#[derive(Debug, Default)]
pub(super) struct StaticTokens {
    users: HashMap<Fingerprint, Arc<UserInfo>>,
}

impl StaticTokens {
    /// Of two lines with the same token the later one counts, as upstream.
    pub(super) fn new(tokens: &[StaticToken]) -> Self {
        let users = tokens.iter().map(|token| {
            let groups: Vec<&str> = token.groups.iter().map(String::as_str).collect();
            let user = UserInfo { uid: token.uid.clone(), ..UserInfo::new(token.user.clone(), &groups) };
            (fingerprint(&token.token), Arc::new(user))
        });
        Self { users: users.collect() }
    }

    /// The user of a token.
    pub(super) fn find(&self, digest: &Fingerprint) -> Option<Arc<UserInfo>> {
        self.users.get(digest).cloned()
    }
}
