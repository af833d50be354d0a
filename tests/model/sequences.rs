//! Random sequences of verbs on leases, TOTP steps and items: the store on SQLite says, word for word, what a reference in
//! memory says.
//!
//! The reference says what a lease is in other words than the store does: free, held, resting. Knows no keys.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use latchkey_vault::{
    BootStamp, Clock, HolderId, KeyBinder, ManualClock, VaultId,
    crypto::{Header, Keyring, Kind, Sealed},
    store::{
        Binder, Changes, Hold, ItemRow, KeyMaterial, LeaseAsk, LeaseMode, Name, Renewed, Reserved, RowName, Saved,
        StepAsk, Store, Taken, Token,
        sqlite::{SCHEMA_VERSION, SqliteFile, SqliteStore},
    },
};
use proptest::{collection::vec, prelude::*};

/// One thing that is done. Holds are named by their place among all that were ever granted, the stale ones included.
#[derive(Clone, Debug)]
enum Verb {
    Take {
        resource: u8,
        holder: u8,
        ttl_s: u64,
        quarantine_s: u64,
    },
    Renew {
        hold: usize,
        ttl_s: u64,
    },
    /// Under another holder's name.
    RenewAsAnother {
        hold: usize,
    },
    Save {
        hold: usize,
    },
    SaveUnderBoth {
        first: usize,
        second: usize,
    },
    CheckIn {
        hold: usize,
    },
    Revoke {
        resource: u8,
    },
    Reserve {
        hold: usize,
        step: u64,
    },
    Pass {
        s: u64,
    },
    SetWallClock {
        ms: i64,
    },
    Reboot,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Granted(u64),
    Held(Duration),
    Until(u64),
    Saved,
    Fenced(Option<u8>),
    Step(u64),
    Spent(u64),
    Nothing,
}

/// What a lease is, in the reference's words.
#[derive(Clone, Copy, Debug)]
enum Lease {
    Free,
    Held {
        holder: u8,
        until_ms: u64,
        rest_ms: u64,
    },
    /// After a revocation, or after another boot where nobody asked yet how long (`from_ms` none).
    Resting {
        from_ms: Option<u64>,
        rest_ms: u64,
        is_revoked: bool,
    },
}

struct Reference {
    leases: [Option<(u64, Lease)>; RESOURCES],
    last_step: Option<u64>,
    item_rev: u64,
}

fn verbs() -> impl Strategy<Value = Vec<Verb>> {
    let resource = || 0..RESOURCES as u8;
    let verb = prop_oneof![
        6 => (resource(), 0..3u8, 1..20u64, 0..6u64)
            .prop_map(|(resource, holder, ttl_s, quarantine_s)| Verb::Take { resource, holder, ttl_s, quarantine_s }),
        2 => (0..8usize, 1..20u64).prop_map(|(hold, ttl_s)| Verb::Renew { hold, ttl_s }),
        1 => (0..8usize).prop_map(|hold| Verb::RenewAsAnother { hold }),
        3 => (0..8usize).prop_map(|hold| Verb::Save { hold }),
        1 => (0..8usize, 0..8usize).prop_map(|(first, second)| Verb::SaveUnderBoth { first, second }),
        3 => (0..8usize).prop_map(|hold| Verb::CheckIn { hold }),
        1 => resource().prop_map(|resource| Verb::Revoke { resource }),
        2 => (0..8usize, 0..6u64).prop_map(|(hold, step)| Verb::Reserve { hold, step }),
        5 => (0..12u64).prop_map(|s| Verb::Pass { s }),
        1 => any::<i32>().prop_map(|ms| Verb::SetWallClock { ms: ms.into() }),
        1 => Just(Verb::Reboot),
    ];
    vec(verb, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_says_what_the_reference_says(verbs in verbs()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(compare(&verbs))?;
    }
}

async fn compare(verbs: &[Verb]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(0));
    let store = make(folder.path(), clock.clone());
    let mut reference = Reference { leases: [None; RESOURCES], last_step: None, item_rev: 0 };
    let mut holds: Vec<Hold> = Vec::new();
    for (at, verb) in verbs.iter().enumerate() {
        // Newest first, so that most of what is done is done under a live hold.
        let named = |n: usize| holds.iter().rev().nth(n % holds.len().max(1)).copied();
        let said = said_by_store(&store, &clock, verb, &named, reference.item_rev + 1).await;
        let expected = reference.says(verb, &named, clock.boot());
        if matches!(verb, Verb::Reboot) {
            reference.reboot();
        }
        prop_assert_eq!(&said, &expected, "verb {}: {:?}", at, verb);
        if let (Said::Granted(n), Verb::Take { resource, holder, .. }) = (&said, verb) {
            holds.push(Hold {
                resource: [*resource; 16].into(),
                place: 0,
                token: token(*n),
                holder: holder_id(*holder),
            });
        }
    }
    prop_assert_eq!(store.verify(Arc::new(()), Box::new(|_, _| ())).await.unwrap(), []);
    store.close().await.unwrap();
    Ok(())
}

async fn said_by_store(
    store: &SqliteStore,
    clock: &ManualClock,
    verb: &Verb,
    named: &impl Fn(usize) -> Option<Hold>,
    rev: u64,
) -> Said {
    let changes = || Changes { items: vec![item(rev)], ..Changes::default() };
    let holds = |names: &[usize]| names.iter().filter_map(|n| named(*n)).collect::<Vec<_>>();
    match verb {
        Verb::Take { resource, holder, ttl_s, quarantine_s } => {
            let (ttl, quarantine) = (Duration::from_secs(*ttl_s), Duration::from_secs(*quarantine_s));
            let (resource, holder) = ([*resource; 16].into(), holder_id(*holder));
            let ask = LeaseAsk { resource, holder, ttl, quarantine, mode: LeaseMode::Exclusive, line: None };
            match store.take_lease(ask, vec![]).await.unwrap() {
                Taken::Granted { token, .. } => Said::Granted(token.n),
                Taken::Held { retry_in } | Taken::Waiting { retry_in, .. } => Said::Held(retry_in),
            }
        }
        Verb::Renew { hold, ttl_s } => renewed(store, named(*hold), Duration::from_secs(*ttl_s)).await,
        Verb::RenewAsAnother { hold } => {
            let other = named(*hold).map(|hold| Hold { holder: holder_id(9), ..hold });
            renewed(store, other, Duration::from_secs(1)).await
        }
        Verb::Save { hold } => saved(store.save_held(holds(&[*hold]), changes()).await.unwrap()),
        Verb::SaveUnderBoth { first, second } => {
            saved(store.save_held(holds(&[*first, *second]), changes()).await.unwrap())
        }
        Verb::CheckIn { hold } => saved(store.check_in(holds(&[*hold]), changes()).await.unwrap()),
        Verb::Revoke { resource } => {
            store.revoke_lease([*resource; 16], vec![]).await.unwrap();
            Said::Nothing
        }
        Verb::Reserve { hold, step } => {
            let Some(hold) = named(*hold) else { return Said::Nothing };
            let secret = Name { epoch: 1, index: [4; 16], former: None };
            let ask = StepAsk { hold, secret, step: *step, begins_ms: 1 };
            match store.reserve_step(ask, changes()).await.unwrap() {
                Reserved::Step(step) => Said::Step(step),
                Reserved::Spent { last } => Said::Spent(last),
                Reserved::Fenced => Said::Fenced(None),
                Reserved::Stale(row) => unreachable!("{row:?} is at revision {rev}"),
            }
        }
        Verb::Pass { s } => {
            clock.advance(Duration::from_secs(*s));
            Said::Nothing
        }
        Verb::SetWallClock { ms } => {
            clock.set_wall_ms(*ms);
            Said::Nothing
        }
        Verb::Reboot => {
            clock.reboot();
            Said::Nothing
        }
    }
}

async fn renewed(store: &SqliteStore, hold: Option<Hold>, ttl: Duration) -> Said {
    let Some(hold) = hold else { return Said::Nothing };
    match store.renew_lease(hold, ttl).await.unwrap() {
        Renewed::Until(until) => Said::Until(until.ms),
        Renewed::Fenced => Said::Fenced(None),
    }
}

fn saved(saved: Saved) -> Said {
    match saved {
        Saved::Done => Said::Saved,
        Saved::Fenced(resource) => Said::Fenced(Some(resource[0])),
        Saved::Stale(RowName { kind, .. }) if kind == Kind::Item as u8 => unreachable!("the item's revision is known"),
        other => unreachable!("{other:?}"),
    }
}

impl Reference {
    fn says(&mut self, verb: &Verb, named: &impl Fn(usize) -> Option<Hold>, now: BootStamp) -> Said {
        let now_ms = now.ms;
        match verb {
            Verb::Take { resource, holder, ttl_s, quarantine_s } => {
                self.take(*resource, *holder, now_ms, ttl_s * 1000, quarantine_s * 1000)
            }
            Verb::Renew { hold, ttl_s } => self.renew(named(*hold), now_ms, ttl_s * 1000),
            Verb::RenewAsAnother { hold } => named(*hold).map_or(Said::Nothing, |_| Said::Fenced(None)),
            Verb::Save { hold } => self.save(&[named(*hold)], now_ms, false),
            Verb::SaveUnderBoth { first, second } => self.save(&[named(*first), named(*second)], now_ms, false),
            Verb::CheckIn { hold } => self.save(&[named(*hold)], now_ms, true),
            Verb::Revoke { resource } => {
                if let Some((n, lease)) = &mut self.leases[usize::from(*resource)]
                    && let Some(rest_ms) = lease.rest_of_hold()
                {
                    *n += 1;
                    *lease = Lease::Resting { from_ms: Some(now_ms), rest_ms, is_revoked: true };
                }
                Said::Nothing
            }
            Verb::Reserve { hold, step } => {
                let Some(hold) = named(*hold) else { return Said::Nothing };
                if !self.is_live(hold, now_ms) {
                    return Said::Fenced(None);
                }
                match self.last_step {
                    Some(last) if last >= *step => Said::Spent(last),
                    _ => {
                        self.last_step = Some(*step);
                        self.item_rev += 1;
                        Said::Step(*step)
                    }
                }
            }
            Verb::Pass { .. } | Verb::SetWallClock { .. } | Verb::Reboot => Said::Nothing,
        }
    }

    fn take(&mut self, resource: u8, holder: u8, now_ms: u64, ttl_ms: u64, quarantine_ms: u64) -> Said {
        let place = &mut self.leases[usize::from(resource)];
        let (n, lease) = place.unwrap_or((0, Lease::Free));
        let free_at_ms = match lease {
            Lease::Free => 0,
            Lease::Held { until_ms, rest_ms, .. } => until_ms + rest_ms,
            Lease::Resting { from_ms: Some(from_ms), rest_ms, .. } => from_ms + rest_ms,
            Lease::Resting { from_ms: None, rest_ms, is_revoked } => {
                // Whoever asks first after another boot starts the rest, and waits for it in full.
                *place = Some((n, Lease::Resting { from_ms: Some(now_ms), rest_ms, is_revoked }));
                return Said::Held(Duration::from_millis(rest_ms));
            }
        };
        if now_ms < free_at_ms {
            return Said::Held(Duration::from_millis(free_at_ms - now_ms));
        }
        *place = Some((n + 1, Lease::Held { holder, until_ms: now_ms + ttl_ms, rest_ms: quarantine_ms }));
        Said::Granted(n + 1)
    }

    fn renew(&mut self, hold: Option<Hold>, now_ms: u64, ttl_ms: u64) -> Said {
        let Some(hold) = hold else { return Said::Nothing };
        if !self.is_live(hold, now_ms) {
            return Said::Fenced(None);
        }
        match &mut self.leases[place(hold)] {
            Some((_, Lease::Held { until_ms, .. })) => {
                *until_ms = (*until_ms).max(now_ms + ttl_ms);
                Said::Until(*until_ms)
            }
            other => unreachable!("live, and {other:?}"),
        }
    }

    fn save(&mut self, holds: &[Option<Hold>], now_ms: u64, ends: bool) -> Said {
        if holds.iter().any(Option::is_none) {
            return Said::Fenced(Some(0));
        }
        for hold in holds.iter().flatten() {
            if !self.is_live(*hold, now_ms) {
                return Said::Fenced(Some(hold.resource.id()[0]));
            }
        }
        if let (true, [Some(hold)]) = (ends, holds)
            && let Some((_, lease)) = &mut self.leases[place(*hold)]
        {
            *lease = Lease::Free;
        }
        self.item_rev += 1;
        Said::Saved
    }

    fn is_live(&self, hold: Hold, now_ms: u64) -> bool {
        matches!(self.leases[place(hold)], Some((n, Lease::Held { holder, until_ms, .. }))
            if n == hold.token.n && holder_id(holder) == hold.holder && now_ms < until_ms)
    }

    /// Nobody holds anything any more, and how much of a rest has passed cannot be told.
    fn reboot(&mut self) {
        for (_, lease) in self.leases.iter_mut().flatten() {
            *lease = match *lease {
                Lease::Free => Lease::Free,
                Lease::Held { rest_ms, .. } => Lease::Resting { from_ms: None, rest_ms, is_revoked: false },
                Lease::Resting { rest_ms, is_revoked, .. } => Lease::Resting { from_ms: None, rest_ms, is_revoked },
            };
        }
    }
}

impl Lease {
    /// How long it rests after it is taken away from a holder; none where nobody has it.
    fn rest_of_hold(&self) -> Option<u64> {
        match self {
            Self::Held { rest_ms, .. } | Self::Resting { rest_ms, is_revoked: false, .. } => Some(*rest_ms),
            Self::Free | Self::Resting { is_revoked: true, .. } => None,
        }
    }
}

fn make(folder: &Path, clock: Arc<ManualClock>) -> SqliteStore {
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    let vault = VaultId::from_bytes([9; 16]);
    let material = KeyMaterial { generation: 1, slots_mac: [1; 32], slots: Vec::new(), data_keys: Vec::new() };
    let header = Header::first(SCHEMA_VERSION, material.slots_mac, 0);
    let binder: Arc<dyn Binder> = Arc::new(KeyBinder::new(Arc::new(Keyring::generate(vault).unwrap())));
    let file = SqliteFile::create(&folder.join("v.db"), vault, 0, binder.as_ref(), header, &material).unwrap();
    file.start(binder, clock).unwrap()
}

fn item(rev: u64) -> ItemRow {
    // No version has the number 0, so that nobody takes it for a blob of some epoch.
    let sealed = Sealed::from_bytes(vec![0; 64]);
    ItemRow { tag: 1, id: [1; 16], rev, epoch: 1, ix: Some([1; 16]), open: true, sealed }
}

fn token(n: u64) -> Token {
    Token { incarnation: 1, n }
}

fn holder_id(n: u8) -> HolderId {
    HolderId::from_bytes([n; 16])
}

fn place(hold: Hold) -> usize {
    hold.resource.id()[0].into()
}

const RESOURCES: usize = 2;
