//! Tool calls of an answer that people have to answer, and the answers they gave.
//!
//! A call is *open* while its approval is pending. It is also open while its result must come from the
//! client, has not come, and the call is not denied.

use crate::protocol::{
    Approval, ApprovalState, Block, CollectVec, ErrorBody, ErrorCode, PermissionMode, ToolKind, ToolOutput,
    ToolSaid, Word,
};

use crate::dialect::ai_sdk::message::approval_id;

use super::answer::Answer;
use super::answer::size::block_json_bytes;

/// Stands for the person who decided, when the permission mode did.
pub(super) const BY_MODE: &str = "mode";
/// The reason on a cancelled turn, and on its denied calls, when another message took its place.
pub(super) const SUPERSEDED: &str = "superseded";

/// The next step of a turn whose agent is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    End,
    Wait,
    /// The agent is called again at once.
    Call,
}

impl Answer {
    /// Returns the ids of the open calls. `clients` are calls that a client has to answer although they are
    /// not marked so.
    #[must_use]
    pub fn open_calls(&self, clients: &[String]) -> Vec<String> {
        let ids = self.calls().filter(|(place, _)| self.is_open(*place, clients));
        ids.map(|(_, id)| id.to_owned()).collect_vec()
    }

    pub(super) fn has_open_call(&self, clients: &[String]) -> bool {
        self.calls().any(|(place, _)| self.is_open(place, clients))
    }

    /// Returns the next step once the agent is done, if everything from block `from` on came from its last
    /// call.
    pub(super) fn next(&self, from: usize, clients: &[String]) -> Next {
        if self.has_open_call(clients) {
            return Next::Wait;
        }
        let is_to_be_told = |(place, _): (usize, &str)| match (self.result(place), self.approval(place)) {
            (Some(_), _) => self.is_clients(place, &[]),
            (None, approval) => approval.is_some_and(|approval| approval.state.known().is_some()),
        };
        if self.calls().skip_while(|(place, _)| *place < from).any(is_to_be_told) {
            Next::Call
        } else {
            Next::End
        }
    }

    /// Returns the call that a client of another protocol names, by the id of the call or of its approval.
    pub(super) fn call_named(&self, name: &str) -> Option<&str> {
        let is_asked = |place: usize| match self.blocks.get(place).map(|placed| &placed.block) {
            Some(call) => approval_id(call) == name,
            None => false,
        };
        self.calls().filter(|(place, id)| *id == name || is_asked(*place)).last().map(|(_, id)| id)
    }

    /// Returns whether this answer to a call is new; `false` if the same was given before.
    ///
    /// # Errors
    /// If the call cannot take the answer.
    pub(super) fn takes(&self, id: &str, said: &ToolSaid, clients: &[String]) -> Result<bool, ErrorBody> {
        let invalid = |message: &str| Err(ErrorBody::fatal(ErrorCode::InvalidMessage, message));
        let Some((place, _)) = self.calls().filter(|(_, call)| *call == id).last() else {
            return Err(no_call());
        };
        let approval = self.approval(place);
        let is_requested = is_requested(approval);
        let is_denied = approval.is_some_and(|approval| approval.state == ApprovalState::Denied);
        let (is_same, bytes) = match said {
            ToolSaid::Decision { approved, reason } => {
                let Some(approval) = approval else {
                    return invalid("this call asks for no approval; answer one whose approval is requested");
                };
                let is_same = approval.state == decided(*approved) && approval.reason == *reason;
                ((!is_requested).then_some(is_same), reason.as_ref().map_or(0, String::len))
            }
            ToolSaid::Output(_) if !self.is_clients(place, clients) => {
                return invalid("the result of this call is not a client's to give");
            }
            ToolSaid::Output(_) if is_requested => {
                return invalid("this call is yet to be approved; give its result after that");
            }
            ToolSaid::Output(block) => {
                let given = self.result(place).map(|given| *given == **block);
                (given.or(is_denied.then_some(false)), block_json_bytes(block))
            }
        };
        match is_same {
            Some(true) => Ok(false),
            Some(false) => {
                let message = "this call was answered before, in another way; the first answer counts";
                Err(ErrorBody::fatal(ErrorCode::AlreadyAnswered, message))
            }
            None if self.has_room(bytes) => Ok(true),
            None => {
                let message = "the turn's answer has no room for this; give something shorter";
                Err(ErrorBody::fatal(ErrorCode::MessageTooLarge, message))
            }
        }
    }

    /// Sets the approval of all calls with this id that ask for one. Clients count it as one event.
    pub(super) fn decide(&mut self, id: &str, approved: bool, reason: Option<&str>, by: Option<&str>) {
        let is_it = |call: &str| call == id;
        self.events = self.events.saturating_add(1);
        let event = Some(self.events);
        self.approve(is_it, decided(approved), reason, by, event);
    }

    /// Denies at a turn's end every call that nobody approved. Clients see this in the turn's end and get no
    /// event for it.
    pub(super) fn deny(&mut self, reason: Option<&str>) {
        self.approve(|_| true, ApprovalState::Denied, reason, None, None);
    }

    fn approve(
        &mut self,
        is_it: impl Fn(&str) -> bool,
        to: ApprovalState,
        reason: Option<&str>,
        by: Option<&str>,
        event: Option<u64>,
    ) {
        for placed in &mut self.blocks {
            let before = block_json_bytes(&placed.block);
            if let Block::ToolUse { id, approval: Some(approval), .. } = &mut placed.block
                && is_requested(Some(approval))
                && is_it(id)
            {
                let (reason, by) = (reason.map(str::to_owned), by.map(str::to_owned));
                *approval = Approval { state: to.into(), reason, by };
                placed.last = event.unwrap_or(placed.last);
                let bytes = self.blocks_json_bytes.saturating_sub(before);
                self.blocks_json_bytes = bytes.saturating_add(block_json_bytes(&placed.block));
            }
        }
    }

    /// Returns the calls that ask for an approval and that this mode decides, each with its decision.
    pub(super) fn decided_by(&self, mode: &Word<PermissionMode>) -> Vec<(String, bool)> {
        let requested = self.blocks.iter().filter_map(|placed| {
            let approved = verdict(&placed.block, mode)?;
            let Block::ToolUse { id, .. } = &placed.block else { return None };
            Some((id.clone(), approved))
        });
        requested.collect_vec()
    }

    fn calls(&self) -> impl Iterator<Item = (usize, &str)> {
        self.blocks.iter().enumerate().filter_map(|(place, placed)| match &placed.block {
            Block::ToolUse { id, .. } => Some((place, id.as_str())),
            _ => None,
        })
    }

    fn is_open(&self, place: usize, clients: &[String]) -> bool {
        let approval = self.approval(place);
        let is_denied = approval.is_some_and(|approval| approval.state == ApprovalState::Denied);
        let is_awaited = || self.is_clients(place, clients) && self.result(place).is_none();
        is_requested(approval) || (!is_denied && is_awaited())
    }

    fn is_clients(&self, place: usize, clients: &[String]) -> bool {
        match self.blocks.get(place).map(|placed| &placed.block) {
            Some(Block::ToolUse { id, output, .. }) => {
                output.as_ref().is_some_and(|output| *output == ToolOutput::Client) || clients.contains(id)
            }
            _ => false,
        }
    }

    fn approval(&self, place: usize) -> Option<&Approval> {
        match self.blocks.get(place).map(|placed| &placed.block) {
            Some(Block::ToolUse { approval, .. }) => approval.as_ref(),
            _ => None,
        }
    }

    /// Returns the result of the call at this place. Only results after it count, since an id may be used
    /// again.
    fn result(&self, place: usize) -> Option<&Block> {
        let (before, after) = self.blocks.split_at_checked(place.saturating_add(1))?;
        let Block::ToolUse { id, .. } = &before.last()?.block else { return None };
        let is_result =
            |block: &&Block| matches!(block, Block::ToolResult { tool_use_id, .. } if tool_use_id == id);
        after.iter().map(|placed| &placed.block).find(is_result)
    }
}

/// Returns the call as clients see it: marked as theirs if `is_clients`, and decided if the mode decides it.
pub(super) fn shown(mut block: Block, is_clients: bool, mode: &Word<PermissionMode>) -> Block {
    let verdict = verdict(&block, mode);
    if let Block::ToolUse { output, approval, .. } = &mut block {
        if is_clients {
            output.get_or_insert(ToolOutput::Client.into());
        }
        if let Some(approved) = verdict {
            let by = Some(BY_MODE.to_owned());
            *approval = Some(Approval { state: decided(approved).into(), reason: None, by });
        }
    }
    block
}

/// Returns the mode's decision on a call that asks for approval; `None` if a person has to decide.
fn verdict(block: &Block, mode: &Word<PermissionMode>) -> Option<bool> {
    let Block::ToolUse { kind, approval, .. } = block else { return None };
    if !is_requested(approval.as_ref()) {
        return None;
    }
    let kind = kind.as_ref().and_then(Word::known).unwrap_or(ToolKind::Execute);
    match mode.known()? {
        PermissionMode::Default => None,
        PermissionMode::AcceptEdits => (kind != ToolKind::Execute).then_some(true),
        PermissionMode::Plan => Some(kind == ToolKind::Read),
        PermissionMode::BypassPermissions => Some(true),
    }
}

fn is_requested(approval: Option<&Approval>) -> bool {
    approval.is_some_and(|approval| approval.state == ApprovalState::Requested)
}

fn decided(approved: bool) -> ApprovalState {
    if approved { ApprovalState::Approved } else { ApprovalState::Denied }
}

/// Returns the error for a call that does not exist, or whose turn is over.
pub(super) fn no_call() -> ErrorBody {
    ErrorBody::fatal(ErrorCode::NotFound, "there is no such call in a turn that is not over")
}
