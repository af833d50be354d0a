//! Changing the vault's keys: a new data key, or a slot removed with a new root key; then everything sealed again.
//!
//! Workers go on meanwhile; what was begun goes on after any crash. Knows no row: what is done to them is the store's.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use thiserror::Error;

use crate::{
    Vault,
    anchor_file::AnchorFileError,
    crypto::{Keyring, RekeyStage, RotateError, SealError, SlotError, SlotRecord},
    key_slots::{SlotListError, check_list},
    keys::KeyBinder,
    model::{Action, SlotId},
    names::{Again, Named},
    store::{BUCKETS, Begun, KeyMaterial, Lane, NewKeys, Progress, Rekeying, ResealAsk, StoreError},
    vault::{blocking, checked_slots},
};

/// How far a change of keys has come, in steps of its own: buckets of rows and entries of the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resealing {
    /// Steps that are done.
    pub done: u64,
    /// Steps in all; grows with the audit.
    pub total: u64,
}

/// Why keys were not changed. The keys are as they were, unless it says otherwise.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RekeyError {
    /// There is no slot with this id.
    #[error("there is no key slot {0}")]
    UnknownSlot(SlotId),
    /// Nobody could ever open the vault again.
    #[error("this is the last key slot; add another one first")]
    LastSlot,
    /// What is left could be lost together with one device.
    #[error("a slot of passphrase and keyring would be left without a recovery slot; add a recovery slot first")]
    NoRecovery,
    /// An earlier change of keys has not ended.
    #[error("an earlier change of keys has not ended; finish it first (`latchkey key rotate --resume`)")]
    Running,
    /// Others changed the slots at the same time.
    #[error("the key slots were changed by others at the same time; look at them and try again")]
    Busy,
    /// A slot could not be given the new root key.
    #[error("a key slot cannot be given the new root key: {0}")]
    Slot(#[from] SlotError),
    /// No new key was made.
    #[error(transparent)]
    Rotate(#[from] RotateError),
    /// The operating system gave no randomness.
    #[error("the operating system's random source failed")]
    NoRandomness,
    /// The anchor could not be told of the new root key.
    #[error(transparent)]
    Anchor(#[from] AnchorFileError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Vault {
    /// Installs a new data key under the same root key; [`Vault::reseal`] then brings everything under it.
    ///
    /// # Errors
    /// [`RekeyError::Running`] while an earlier change has not ended; the others of [`RekeyError`].
    pub async fn rotate_keys(&self) -> Result<(), RekeyError> {
        let next = Arc::new(self.keys().with_new_data_key()?);
        let material = self.store.key_material().await?;
        let slots = checked_slots(&self.keys(), &material)?;
        self.begin(next, material.generation + 1, &slots, "a new data key").await
    }

    /// Removes a key slot: a new root key, which the other slots get, and a new data key; [`Vault::reseal`] then brings
    /// everything under it.
    ///
    /// Other processes have to unlock again. Whoever held the slot keeps what they have copied.
    ///
    /// # Errors
    /// [`RekeyError::LastSlot`], [`RekeyError::UnknownSlot`], [`RekeyError::NoRecovery`], [`RekeyError::Running`]; the
    /// others of [`RekeyError`].
    pub async fn remove_slot(&self, id: SlotId) -> Result<(), RekeyError> {
        let keys = self.keys();
        let material = self.store.key_material().await?;
        // Only what the root key vouches for is given the new one: a recipient is public, anybody could add theirs.
        let slots = checked_slots(&keys, &material)?;
        let left: Vec<_> = slots.iter().filter(|slot| slot.id != id).cloned().collect();
        if left.len() == slots.len() {
            return Err(RekeyError::UnknownSlot(id));
        }
        check_left(&left)?;
        if self.store.rekeying().await?.is_some() {
            return Err(RekeyError::Running);
        }
        let next = Arc::new(keys.rotated()?);
        let left = left.iter().map(|slot| slot.rewrapped(&next)).collect::<Result<Vec<_>, _>>()?;
        // First the anchor is told which root key may come: from here on a crash leaves a vault that opens with the one
        // that its slots hold.
        let (keeper, announced) = (Arc::clone(&self.keeper), Arc::clone(&next));
        blocking(move || keeper.announce(&announced)).await?;
        self.begin(next, material.generation + 1, &left, &format!("key slot {id} removed, a new root key")).await?;
        let keeper = Arc::clone(&self.keeper);
        // The keeper's thread does the same in a moment; whoever asked for the removal wants to know that it is done.
        Ok(blocking(move || keeper.move_now()).await?)
    }

    /// How far a change of keys has come; none where none runs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resealing(&self) -> Result<Option<Resealing>, StoreError> {
        Ok(self.store.rekeying().await?.map(|rekeying| steps(&rekeying)))
    }

    /// Brings everything under the newest data key, from where it stands to its end; does nothing where nothing is left.
    ///
    /// Others go on meanwhile, but for the very end, which writes the file anew. It may be run by several at once.
    ///
    /// # Errors
    /// [`StoreError`]; what is done stays done. [`StoreError::Busy`] where the old bytes cannot be taken out of the log.
    pub async fn reseal(&self, progress: Progress) -> Result<(), RekeyError> {
        let mut again = Again::new();
        while let Some(rekeying) = self.store.rekeying().await? {
            let Resealing { done, total } = steps(&rekeying);
            progress(done, total);
            match self.store.reseal(self.reseal_ask(rekeying.rekey.stage).await?).await {
                // A name or a key of before; it is asked again with those of now.
                Err(StoreError::Rekeyed) if again.once_more() => {}
                done => done?,
            }
        }
        Ok(())
    }

    async fn begin(
        &self,
        next: Arc<Keyring>,
        generation: u64,
        slots: &[SlotRecord],
        what: &str,
    ) -> Result<(), RekeyError> {
        let keys = material(&next, generation, slots)?;
        let audit = vec![self.event(Action::Keys, None, what)?];
        let binder = Arc::new(KeyBinder::new(Arc::clone(&next)));
        let ours = Arc::clone(&self.binder);
        let installed = Box::new(move || ours.install(next, generation));
        match self.store.begin_rekey(NewKeys { keys, binder, installed, audit }).await? {
            Begun::Done => Ok(()),
            Begun::Stale => Err(RekeyError::Busy),
            Begun::Running => Err(RekeyError::Running),
        }
    }

    async fn reseal_ask(&self, stage: RekeyStage) -> Result<ResealAsk, RekeyError> {
        let mut ask = ResealAsk::default();
        match stage {
            RekeyStage::Leftovers => {
                for lane in [Lane::Account, Lane::Task] {
                    ask.lanes.push(self.name_of(&Named::lane(lane))?);
                }
            }
            RekeyStage::Audit => {
                let (keys, there) = (self.keys(), self.store.key_material().await?);
                let slots = checked_slots(&keys, &there)?;
                ask.finish = Some(material(&keys.without_older(), there.generation + 1, &slots)?);
                ask.audit.push(self.event(Action::Keys, None, "the old data key is destroyed")?);
            }
            _ => {}
        }
        Ok(ask)
    }
}

/// Refuses to leave a vault that nobody, or only one device, could open.
fn check_left(left: &[SlotRecord]) -> Result<(), RekeyError> {
    match check_list(left) {
        Err(SlotListError::None) => Err(RekeyError::LastSlot),
        Err(SlotListError::NoRecovery) => Err(RekeyError::NoRecovery),
        // What else may be said of a list was said when it was made; fewer slots are no worse.
        _ => Ok(()),
    }
}

fn material(keys: &Keyring, generation: u64, slots: &[SlotRecord]) -> Result<KeyMaterial, RekeyError> {
    Ok(KeyMaterial {
        generation,
        slots_mac: keys.slots_mac(generation, slots),
        slots: slots.iter().map(SlotRecord::to_bytes).collect(),
        data_keys: keys.sealed_data_keys().map_err(|_: SealError| RekeyError::NoRandomness)?,
    })
}

fn steps(Rekeying { rekey, entries }: &Rekeying) -> Resealing {
    let (all, bucket) = (BUCKETS as u64, u64::from(rekey.bucket));
    let done = match rekey.stage {
        RekeyStage::Rows => bucket,
        RekeyStage::Leftovers => all + bucket,
        RekeyStage::Audit => 2 * all + rekey.entries,
        RekeyStage::Scrub => 2 * all + entries,
    };
    Resealing { done, total: 2 * all + entries + 1 }
}
