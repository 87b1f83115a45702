//! Lets tasks wait until something has happened, without polling.

use std::cell::RefCell;

use js_sys::{Function, Promise};

use crate::platform::signal;

#[derive(Default)]
pub struct Notify(RefCell<Vec<Function>>);

impl Notify {
    /// Returns a promise that the next [`Notify::notify`] fulfils.
    pub fn next(&self) -> Promise {
        let (promise, resolve) = signal();
        self.0.borrow_mut().push(resolve);
        promise
    }

    pub fn notify(&self) {
        for resolve in self.0.take() {
            let _ = resolve.call0(&resolve);
        }
    }
}
