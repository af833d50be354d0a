//! What every back end has to do: called with a maker of fresh stores, over `dyn Store` alone.
//!
//! A case states one promise of the trait, kept and refused side by side. Knows no back end.

mod group;
pub(crate) mod leases;
mod lines;
mod outbox;
mod rows;

use std::{sync::Arc, time::Duration};

use latchkey_vault::{
    AccountId, Clock, HolderId, KeyBinder, ManualClock, MessageId, VaultId,
    crypto::{Header, Keyring, Sealed},
    store::{
        AccountRow, Binder, Changes, Hold, ItemRow, KeyMaterial, Lane, LeaseAsk, LeaseMode, Name, NewAudit, OutboxRow,
        Owed, SessionRow, Store, Taken, Token, sqlite::SCHEMA_VERSION,
    },
};

/// A fresh store of the back end under test, with the clock it was given.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<ManualClock>,
}

macro_rules! cases {
    ($make:ident: $($area:ident { $($case:ident,)* })*) => {
        $($({
            let bench = bench(&$make).await;
            $area::$case(&bench).await;
            let findings = bench.store.verify(Arc::new(()), Box::new(|_, _| ())).await.unwrap();
            assert_eq!(findings, [], "after {}", stringify!($case));
            bench.store.close().await.unwrap();
        })*)*
    };
}

/// Runs every case on a store of its own, and the store's own check after each.
pub(crate) async fn exercise(make: impl AsyncFn(Arc<dyn Binder>, Arc<dyn Clock>) -> Arc<dyn Store>) {
    cases! { make:
        rows {
            a_row_is_written_at_the_revision_that_follows_and_at_no_other,
            one_stale_row_keeps_all_others_out,
            no_two_accounts_have_one_login_or_one_manager_id,
            accounts_are_found_by_their_indexes_in_pages,
            items_are_found_by_id_index_and_whether_they_are_open,
            an_account_goes_with_its_session_and_leaves_its_lease,
            new_keys_follow_the_generation_that_is_there,
        }
        leases {
            one_holds_it_and_the_next_gets_a_higher_token,
            an_expired_hold_rests_and_then_its_holder_is_fenced_everywhere,
            another_token_or_holder_is_fenced_and_writes_nothing,
            renewing_extends_and_never_shortens,
            another_boot_ends_the_hold_and_starts_the_rest_in_full,
            a_revoked_lease_rests_before_the_next_holder,
            a_holder_reads_its_account_as_it_is_now,
            what_several_leases_guard_needs_all_of_them,
            a_check_in_writes_everything_and_frees_or_nothing_and_keeps,
            every_write_of_a_lease_is_the_next_revision_and_a_clean_end_leaves_no_times,
            a_totp_step_is_reserved_once_and_only_forward,
        }
        lines {
            whoever_came_first_has_it_first_and_nobody_overtakes,
            whoever_leaves_or_is_late_falls_out_of_line,
            whoever_does_not_ask_again_falls_out_of_line,
            nobody_waits_across_a_boot,
            as_many_share_it_as_each_of_them_allows,
            an_exclusive_waiter_stops_new_shared_ones,
            all_who_share_it_are_revoked_and_each_rests,
        }
        outbox {
            messages_keep_the_order_of_their_arrival,
            a_message_is_due_by_lane_time_and_state,
            messages_are_settled_together_or_not_at_all,
            only_the_end_of_a_try_counts_it_and_a_person_begins_anew,
            a_message_stands_in_for_others_all_or_none_of_them,
            the_audit_has_no_gaps_and_grants_carry_their_token,
        }
        group {
            many_at_once_are_each_done_once,
            a_refused_operation_does_not_disturb_its_neighbours,
            every_write_makes_a_new_head_and_a_refusal_none,
        }
    }
    group::a_closed_store_refuses_everything(&bench(&make).await).await;
}

async fn bench(make: &impl AsyncFn(Arc<dyn Binder>, Arc<dyn Clock>) -> Arc<dyn Store>) -> Bench {
    let clock = Arc::new(ManualClock::new(WALL_MS));
    let store = make(Arc::new(KeyBinder::new(keys())), Arc::clone(&clock) as Arc<dyn Clock>).await;
    Bench { store, clock }
}

/// The keys of a vault that is made for one case.
pub(crate) fn keys() -> Arc<Keyring> {
    Arc::new(Keyring::generate(VAULT).unwrap())
}

/// The key material and the first header of a vault with no slots: a store does not look into them.
pub(crate) fn first() -> (KeyMaterial, Header) {
    let material = KeyMaterial { generation: 1, slots_mac: [1; 32], slots: Vec::new(), data_keys: Vec::new() };
    let header = Header::first(SCHEMA_VERSION, material.slots_mac, WALL_MS);
    (material, header)
}

impl Bench {
    /// Takes a lease that has to be free.
    #[track_caller]
    fn take(&self, resource: u8, holder: u8) -> impl Future<Output = Hold> {
        let at = std::panic::Location::caller();
        let asked = ask(resource, holder);
        let taken = self.store.take_lease(asked.clone(), vec![]);
        async move {
            match taken.await.unwrap() {
                Taken::Granted { place, token, .. } => {
                    Hold { resource: asked.resource, place, token, holder: asked.holder }
                }
                held => panic!("{at}: {held:?}"),
            }
        }
    }

    async fn audit_ids(&self) -> Vec<u8> {
        self.store.audit(0, 10_000).await.unwrap().iter().map(|entry| entry.id[0]).collect()
    }
}

fn ask(resource: u8, holder: u8) -> LeaseAsk {
    let (ttl, quarantine) = (TTL, QUARANTINE);
    let holder = HolderId::from_bytes([holder; 16]);
    LeaseAsk { resource: [resource; 16].into(), holder, ttl, quarantine, mode: LeaseMode::Exclusive, line: None }
}

/// What is sealed in it does not matter to a store.
fn sealed(n: u8) -> Sealed {
    // No version has this number, so that nobody takes it for a blob of some epoch.
    Sealed::from_bytes([&[0][..], &[n; 63]].concat())
}

fn name(n: u8) -> Name {
    Name { epoch: 1, index: [n; 16], former: None }
}

fn account(id: u8, rev: u64) -> AccountRow {
    AccountRow {
        id: AccountId::from_bytes([id; 16]),
        rev,
        epoch: 1,
        ix_site: [1; 16],
        ix_login: Some([id; 16]),
        ix_manager: None,
        sealed: sealed(id),
    }
}

fn session(id: u8, rev: u64) -> SessionRow {
    SessionRow { account: AccountId::from_bytes([id; 16]), rev, epoch: 1, login_epoch: rev, sealed: sealed(id) }
}

fn item(id: u8, rev: u64) -> ItemRow {
    ItemRow { tag: 1, id: [id; 16], rev, epoch: 1, ix: Some([id; 16]), open: true, sealed: sealed(id) }
}

fn message(id: u8, subject: u8) -> OutboxRow {
    OutboxRow {
        id: MessageId::from_bytes([id; 16]),
        rev: 1,
        epoch: 1,
        lane: Lane::Task,
        subject: [subject; 16],
        after: None,
        seq: 0,
        due_ms: WALL_MS,
        tries: 0,
        state: Owed::Due,
        sealed: sealed(id),
    }
}

fn entry(id: u8) -> NewAudit {
    NewAudit { id: [id; 16], sealed: sealed(id) }
}

fn accounts(rows: impl IntoIterator<Item = AccountRow>) -> Changes {
    Changes { accounts: rows.into_iter().collect(), ..Changes::default() }
}

fn items(rows: impl IntoIterator<Item = ItemRow>) -> Changes {
    Changes { items: rows.into_iter().collect(), ..Changes::default() }
}

fn token(n: u64) -> Token {
    Token { incarnation: 1, n }
}

const VAULT: VaultId = VaultId::from_bytes([9; 16]);
const WALL_MS: i64 = 1_790_000_000_000;
const TTL: Duration = Duration::from_secs(60);
const QUARANTINE: Duration = Duration::from_secs(10);
const MS: Duration = Duration::from_millis(1);
