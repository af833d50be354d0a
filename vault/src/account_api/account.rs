//! An account as the manager describes it. Knows neither its JSON nor our own record of it.

use std::fmt;

use jiff::Timestamp;

use crate::model::Fields;

/// The manager's record of one account.
///
/// Whatever is absent, `null`, empty or a placeholder there is `None` here, and so is what is unusable. Statuses are
/// texts, since new ones appear. Texts have no control characters.
#[derive(Default)]
#[non_exhaustive]
pub struct ManagerAccount {
    /// Its id at the manager.
    pub id: String,
    /// The newest post of its group that is pending or running.
    pub post_id: Option<String>,
    /// The register record that made the account.
    pub register_id: Option<String>,
    /// Its group.
    pub group_id: Option<String>,
    /// Its site's id.
    pub site_id: Option<String>,
    /// Its site, for example `sutori.com`.
    pub site_name: Option<String>,
    /// Where it stands; [`AccountStatus`](super::AccountStatus) has the words of the contract.
    pub status: Option<String>,
    /// `posting`, `done` or `idle`; follows the newest task.
    pub posting_status: Option<String>,
    /// The newest task that names the account.
    pub post_task_id: Option<String>,
    /// The link reported for that task.
    pub post_link: Option<String>,
    /// Credentials, profile and cookie.
    pub fields: Fields,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When the record last changed: a marker of its version, not a clock to merge by.
    pub updated_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// The manager's names of fields that were there but of a wrong type, too long or unreadable.
    pub unusable: Vec<&'static str>,
}

impl fmt::Debug for ManagerAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagerAccount")
            .field("id", &self.id)
            .field("status", &self.status)
            .field("posting_status", &self.posting_status)
            .field("updated_at", &self.updated_at)
            .field("unusable", &self.unusable)
            .finish_non_exhaustive()
    }
}
