//! The words that the manager takes for an account's status. Knows nothing of what leads to which.

use std::fmt;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// A status that the manager takes. What it answers may be another word, and stays a text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum AccountStatus {
            $($(#[$doc])* $name,)*
        }

        impl AccountStatus {
            /// Every status, in the order of the contract.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The manager's word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

statuses! {
    /// Waits to be worked on.
    Pending = "pending",
    /// Stands in a queue.
    Queued = "queued",
    /// Is worked on.
    Running = "running",
    /// Is done.
    Completed = "completed",
    /// Failed; taken out of the pool.
    Failed = "failed",
    /// Was called off.
    Cancel = "cancel",
    /// Failed, and will not be tried again.
    FinalFailed = "final_failed",
    /// Is to be registered.
    Register = "register",
    /// Is being registered.
    Registering = "registering",
    /// Is registered.
    Registered = "registered",
    /// Could not be registered.
    RegisterFailed = "register_failed",
    /// Is to get its profile.
    Profile = "profile",
    /// Is getting its profile.
    Profiling = "profiling",
    /// Has its profile.
    Profiled = "profiled",
    /// Could not get its profile.
    ProfileFailed = "profile_failed",
    /// Is to be connected.
    Connect = "connect",
    /// Is being connected.
    Connecting = "connecting",
    /// Could not be connected.
    ConnectFailed = "connect_failed",
    /// Can be used.
    Active = "active",
    /// Is not to be used for now.
    Inactive = "inactive",
    /// Banned by the site for good.
    Banned = "banned",
    /// Locked by the site, or gone.
    Dead = "dead",
}

impl AccountStatus {
    /// The status of this word, where the contract has it.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for AccountStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::AccountStatus;

    #[test]
    fn the_words_are_the_contracts_and_each_survives_its_text() {
        let contract = "pending queued running completed failed cancel final_failed register registering registered \
                        register_failed profile profiling profiled profile_failed connect connecting connect_failed \
                        active inactive banned dead";
        let own: Vec<_> = AccountStatus::ALL.iter().map(|status| status.as_str()).collect();
        assert_eq!(own, contract.split_whitespace().collect::<Vec<_>>());
        for status in AccountStatus::ALL {
            assert_eq!(AccountStatus::parse(status.as_str()), Some(*status));
        }
    }

    #[test]
    fn other_words_are_no_status_to_send() {
        for word in ["", "Active", "active ", "suspended"] {
            assert_eq!(AccountStatus::parse(word), None);
        }
    }
}
