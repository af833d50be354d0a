//! Every bound of the reference manager, each with its reason.
//!
//! Deliberately knows nothing of what the bounds are applied to.

use std::time::Duration;

/// Tasks that a list holds when no `limit` is sent (contract, "Lấy danh sách task").
pub const LIST_DEFAULT: usize = 5;

/// The largest `limit` of a list (contract of the sister APIs: "tối đa 1000").
pub const LIST_MAX: usize = 1_000;

/// Longest `error_message`, in characters (contract of the sister APIs: "≤1000 ký tự").
pub const MAX_ERROR_MESSAGE_CHARS: usize = 1_000;

/// Largest request body in bytes: a cookie and a note are some kilobytes, nothing comes near.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// Largest body on the control plane in bytes: a seed of some ten thousand accounts.
pub(crate) const MAX_CONTROL_BODY_BYTES: usize = 64 << 20;

/// Most tasks, dead ones included: the largest simulation holds a tenth of it.
pub(crate) const MAX_TASKS: usize = 500_000;

/// Most accounts, dead ones included: the largest simulation holds a tenth of it.
pub(crate) const MAX_ACCOUNTS: usize = 500_000;

/// Most ledger entries: a long chaos run makes some ten thousand; the oldest go first.
pub(crate) const MAX_LEDGER_ENTRIES: usize = 200_000;

/// Most bytes of sent values that the ledger holds, so that large cookies cannot fill the memory.
pub(crate) const MAX_LEDGER_BYTES: usize = 128 << 20;

/// Most faults that wait at once: each call looks through all of them.
pub(crate) const MAX_FAULTS: usize = 256;

/// Longest injected delay: longer than any client's patience.
pub(crate) const MAX_SLOW: Duration = Duration::from_secs(600);

/// Largest injected body in bytes: it is streamed and costs no memory here.
pub(crate) const MAX_HUGE_BYTES: u64 = 16 << 30;

/// Piece in which an injected huge body is sent, in bytes: one socket buffer's worth.
pub(crate) const HUGE_PIECE_BYTES: usize = 64 << 10;

/// Most connections at once on the API; more wait in the kernel's queue.
pub(crate) const MAX_CONNECTIONS: usize = 1_024;

/// How long a shutdown waits for calls in flight before it cuts them: an honest call takes milliseconds.
pub(crate) const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Fails after which a task is final, unless configured or given with the task.
pub(crate) const DEFAULT_MAX_RETRIES: u32 = 3;
