//! D1 as `src/session_do/index.rs` writes it: a delivery that comes twice, or late, changes nothing.

use std::collections::BTreeMap;

use bobbin::protocol::{Message, Session};
use bobbin::thread::{Delivery, Path, message_id_prefix};

#[derive(Clone, Debug, Default)]
pub struct Index {
    pub session: Option<(u64, u64, Session)>,
    pub path: Option<Path>,
    pub messages: BTreeMap<String, (u64, Message)>,
}

impl Index {
    pub fn apply(&mut self, delivery: &Delivery) {
        if delivery.deletes {
            let spared = message_id_prefix(delivery.epoch);
            self.session.take_if(|(epoch, _, _)| *epoch != delivery.epoch);
            self.messages.retain(|id, _| id.starts_with(&spared));
        }
        let Some(content) = &delivery.content else { return };
        let is_newer = |(epoch, seq, _): &(u64, u64, Session)| delivery.seq > *seq || content.epoch != *epoch;
        if self.session.as_ref().is_none_or(is_newer) {
            self.path = Some(content.path.clone());
            self.session = Some((content.epoch, delivery.seq, content.session.clone()));
        }
        for record in &content.records {
            let message = record.message(0);
            self.messages.entry(message.id.clone()).or_insert((record.seq, message));
        }
    }
}
