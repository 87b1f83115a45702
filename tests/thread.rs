//! The thread, driven through wire frames, agents' events and virtual time. Each test is one scenario.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "thread/along.rs"]
mod along;
#[path = "thread/cancel.rs"]
mod cancel;
#[path = "thread/charges.rs"]
mod charges;
#[path = "thread/clock.rs"]
mod clock;
#[path = "thread/crash.rs"]
mod crash;
#[path = "thread/deletion.rs"]
mod deletion;
#[path = "thread/duplicates.rs"]
mod duplicates;
#[path = "thread/files.rs"]
mod files;
#[path = "thread/files_walk.rs"]
mod files_walk;
#[path = "thread/follow.rs"]
mod follow;
#[path = "thread/fork.rs"]
mod fork;
#[path = "thread/harness.rs"]
mod harness;
#[path = "thread/import.rs"]
mod import;
#[path = "thread/kept.rs"]
mod kept;
#[path = "thread/limits.rs"]
mod limits;
#[path = "thread/live.rs"]
mod live;
#[path = "thread/outage.rs"]
mod outage;
#[path = "thread/outbox.rs"]
mod outbox;
#[path = "thread/pages.rs"]
mod pages;
#[path = "thread/queue.rs"]
mod queue;
#[path = "thread/refusals.rs"]
mod refusals;
#[path = "thread/replies.rs"]
mod replies;
#[path = "thread/resume.rs"]
mod resume;
#[path = "thread/rights.rs"]
mod rights;
#[path = "thread/session.rs"]
mod session;
#[path = "thread/snapshot.rs"]
mod snapshot;
#[path = "thread/stock.rs"]
mod stock;
#[path = "thread/stock_order.rs"]
mod stock_order;
#[path = "thread/store.rs"]
mod store;
#[path = "thread/stream.rs"]
mod stream;
#[path = "support/mod.rs"]
mod support;
#[path = "thread/turns.rs"]
mod turns;
#[path = "thread/unread.rs"]
mod unread;
#[path = "thread/unreadable.rs"]
mod unreadable;
#[path = "thread/versions.rs"]
mod versions;
#[path = "thread/waiting.rs"]
mod waiting;
