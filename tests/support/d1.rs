//! D1 as `src/session_do/index.rs` writes to it: a delivery that arrives twice, or late, changes nothing.

use std::collections::BTreeMap;

use bobbin::protocol::{Message, Session};
use bobbin::thread::{Delivery, Found, Path, message_id_prefix};

/// All databases, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Databases(pub BTreeMap<u64, Index>);

#[derive(Clone, Debug, Default)]
pub struct Index {
    /// How often the databases were lost.
    pub lives: u64,
    pub session: Option<(u64, u64, Session)>,
    pub path: Option<Path>,
    pub messages: BTreeMap<String, (u64, Message)>,
    backup: Option<Box<Index>>,
}

impl Databases {
    pub fn apply(&mut self, delivery: &Delivery) -> Found {
        self.0.entry(delivery.place).or_default().apply(delivery)
    }

    /// Replaces each database by a new, empty one.
    pub fn lose(&mut self) {
        for index in self.0.values_mut() {
            *index = Index { lives: index.lives + 1, ..Index::default() };
        }
    }

    /// Brings each database back to its state at the previous call.
    pub fn restore(&mut self) {
        for index in self.0.values_mut() {
            let empty = Index { lives: index.lives, ..Index::default() };
            let before = index.backup.take().map_or(empty, |backup| *backup);
            *index = Index { backup: Some(Box::new(Index { backup: None, ..index.clone() })), ..before };
        }
    }

    /// The database that has the session, or as much of the session as there is.
    pub fn held(&self) -> Index {
        let holds = |index: &&Index| index.session.is_some() || !index.messages.is_empty();
        let mut held = self.0.values().filter(holds);
        let first = held.next().cloned().unwrap_or_default();
        held.fold(first, |mut all, index| {
            all.messages.extend(index.messages.clone());
            all
        })
    }
}

impl Index {
    fn apply(&mut self, delivery: &Delivery) -> Found {
        if delivery.deletes {
            let spared = message_id_prefix(delivery.epoch);
            self.messages.retain(|id, _| id.starts_with(&spared));
        }
        self.session.take_if(|(epoch, _, _)| *epoch != delivery.epoch);
        let seq = self.session.as_ref().map(|(_, seq, _)| *seq);
        let found = Found { database: Some(self.lives.to_string()), seq, erased_at: None };
        let Some(content) = &delivery.content else { return found };
        let is_newer = seq.is_none_or(|seq| delivery.seq > seq);
        if is_newer && seq.unwrap_or_default() >= delivery.expected {
            self.path = Some(content.path.clone());
            self.session = Some((content.epoch, delivery.seq, content.session.clone()));
        }
        for record in &content.records {
            let message = record.message(0);
            self.messages.entry(message.id.clone()).or_insert((record.seq, message));
        }
        found
    }
}
