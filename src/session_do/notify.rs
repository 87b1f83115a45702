//! Waiting for something to have happened.

use std::cell::RefCell;

use futures::channel::oneshot;

#[derive(Default)]
pub struct Notify(RefCell<Vec<oneshot::Sender<()>>>);

impl Notify {
    /// Done at the next [`Notify::notify`].
    pub fn next(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.0.borrow_mut().push(sender);
        receiver
    }

    pub fn notify(&self) {
        for waiting in self.0.take() {
            let _ = waiting.send(());
        }
    }
}
