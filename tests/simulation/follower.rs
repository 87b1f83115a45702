//! A program that posted, and reads the events of the turn that it began.

use super::Check;
use super::pieces::Piece;
use super::truth::{Truth, Turn};
use super::view::{check_end, fold_answer};
use crate::support::{Frame, Head};

#[derive(Debug)]
pub struct Follower {
    request_id: String,
    is_begun: bool,
    answer: Vec<Piece>,
    /// The turn has ended, or waits.
    pub is_over: bool,
}

impl Follower {
    pub fn new(request_id: &str) -> Self {
        Follower { request_id: request_id.into(), is_begun: false, answer: Vec::new(), is_over: false }
    }

    pub fn receive(&mut self, frame: &Frame, truth: &Truth) -> Check {
        let Head { kind, cursor, request_id, .. } = frame.head();
        if *request_id != self.request_id {
            return Err(format!("it follows {}, and is sent {}", self.request_id, frame.text));
        }
        if self.is_over {
            return Err(format!("it is sent {} after the end", frame.text));
        }
        let is_appended = truth.turn_of(request_id).is_some_and(Turn::is_appended);
        match kind.as_str() {
            "user_message" | "branch" if self.is_begun => return Err("its beginning comes twice".into()),
            "user_message" | "branch" => self.is_begun = true,
            "queued" | "data" => {}
            "error" if cursor.is_none() => self.is_over = true,
            _ if !self.is_begun && !is_appended => {
                return Err(format!("{} comes before its message", frame.text));
            }
            "final" | "cancelled" | "error" => {
                self.is_over = true;
                let held = std::mem::take(&mut self.answer);
                let may_hold_more = truth.is_broken_off(request_id);
                if !is_appended && !may_hold_more {
                    check_end(held, frame.json())?;
                }
            }
            _ => {
                self.is_over = kind == "waiting";
                fold_answer(&mut self.answer, frame)?;
            }
        }
        Ok(())
    }
}
