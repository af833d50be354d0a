//! What is remembered of who did what. Pure data; the chain that keeps it honest is the store's.

use crate::AccountId;

/// One entry of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// When, Unix milliseconds by the wall clock.
    pub at_ms: i64,
    /// By whom.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// To which account, where it was one.
    pub account: Option<AccountId>,
    /// How it ended, and names of fields; never a value.
    pub detail: String,
}

/// Who acts: a process of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The operating system's user id.
    pub uid: u32,
    /// The process id.
    pub pid: u32,
    /// What the process is: `cli`, or a worker's name.
    pub name: String,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $code:literal $word:literal,)*) => {
        /// What was done; the numbers are part of the stored format and never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Action {
            $($(#[$doc])* $name = $code,)*
        }

        impl Action {
            /// The action with this number.
            #[must_use]
            pub const fn from_u8(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The word it is shown by.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

actions! {
    /// The vault was made.
    Init = 1 "init",
    /// An anchor was adopted by a person.
    AdoptAnchor = 2 "adopt-anchor",
    /// An account was added.
    Add = 3 "add",
    /// An account was changed.
    Edit = 4 "edit",
    /// An account was removed.
    Remove = 5 "remove",
    /// A session and its secrets were lent.
    Grant = 6 "grant",
    /// What was lent came back.
    CheckIn = 7 "check-in",
    /// A lease was taken away.
    Revoke = 8 "revoke",
    /// Secrets were read without a lease.
    Reveal = 9 "reveal",
    /// A login was about to be sent.
    LoginIntent = 10 "login-intent",
    /// A login ended.
    Login = 11 "login",
    /// The manager's record was merged in.
    Pull = 12 "pull",
    /// The manager was told, or refused to be.
    Report = 13 "report",
    /// A task's attempt began or ended.
    Attempt = 14 "attempt",
    /// The key slots were changed.
    Keys = 15 "keys",
}

#[cfg(test)]
mod tests {
    use super::Action;

    #[test]
    fn every_number_names_one_action() {
        let known: Vec<_> = (0..=u8::MAX).filter_map(Action::from_u8).collect();
        assert_eq!(known.len(), 15);
        for action in known {
            assert_eq!(Action::from_u8(action as u8), Some(action));
        }
    }
}
