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
    /// How it ended.
    pub outcome: Outcome,
    /// To which account, where it was one.
    pub account: Option<AccountId>,
    /// Names of fields, reasons, evidence; never a value.
    pub detail: String,
}

/// Who acts: a process of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The operating system's user id.
    pub uid: u32,
    /// What the operating system calls that user; empty where it has no name for it.
    pub user: String,
    /// The process id.
    pub pid: u32,
    /// What the process is: `cli`, or a worker's name, which tells workers of one user apart.
    pub name: String,
}

macro_rules! numbered {
    ($(#[$about:meta])* $kind:ident: $($(#[$doc:meta])* $name:ident = $code:literal $word:literal,)*) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum $kind {
            $($(#[$doc])* $name = $code,)*
        }

        impl $kind {
            /// All, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The one with this number.
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

numbered! {
    /// What was done; the numbers are part of the stored format and never change.
    Action:
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
    /// A backup was written.
    Backup = 16 "backup",
    /// A backup was put in the vault's place.
    Restore = 17 "restore",
}

numbered! {
    /// How it ended; the numbers are part of the stored format and never change.
    Outcome:
    /// It was done, in the same transaction as its entry.
    Done = 1 "done",
    /// It is about to be done; another entry says how it ended, unless a crash came between.
    Begun = 2 "begun",
    /// It was asked for and not allowed; nothing was changed.
    Refused = 3 "refused",
    /// It was tried and did not succeed.
    Failed = 4 "failed",
}

#[cfg(test)]
mod tests {
    use super::{Action, Outcome};

    #[test]
    fn every_number_names_one_action_and_one_outcome() {
        assert_eq!((0..=u8::MAX).filter_map(Action::from_u8).collect::<Vec<_>>(), Action::ALL);
        assert_eq!((0..=u8::MAX).filter_map(Outcome::from_u8).collect::<Vec<_>>(), Outcome::ALL);
        assert!(Action::ALL.iter().all(|action| Action::from_u8(*action as u8) == Some(*action)));
        assert!(Outcome::ALL.iter().all(|outcome| Outcome::from_u8(*outcome as u8) == Some(*outcome)));
    }

    #[test]
    fn numbers_that_are_stored_stay_what_they_are() {
        // What is at rest was written with these.
        assert_eq!(Action::ALL.iter().map(|action| *action as u8).collect::<Vec<_>>(), (1..=17).collect::<Vec<_>>());
        assert_eq!(Outcome::ALL.iter().map(|outcome| *outcome as u8).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
