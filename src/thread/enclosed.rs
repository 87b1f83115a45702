//! Files that are sent along with a call of an agent.
//!
//! A model cannot reach the addresses of files, and their bytes are too large to pass through the thread. So
//! the call's text gets a placeholder for each file, which nobody can guess, and the code that makes the call
//! puts the bytes in its place.

use crate::agent::{AgentRequest, Enclosed, Form};
use crate::protocol::limits::{AGENT_FILES_BYTES_MAX, AGENT_TEXT_BYTES_MAX};
use crate::protocol::{Block, Content, file_of};

use super::files::{File, FileState};
use super::store::{Records, StoreError};
use super::turn::Turn;
use super::{Thread, TurnId};

/// Image types that models accept.
const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/// Parts of the names of text types that do not begin with `text/`.
const TEXTS: [&str; 6] = ["json", "xml", "yaml", "javascript", "toml", "sql"];

impl Thread {
    /// Puts placeholders for the session's files into an agent's request, for the newest files first and as
    /// long as their bytes fit. A file without a placeholder is only named.
    ///
    /// # Errors
    /// If the store could not be read.
    pub(super) fn enclose(
        &mut self,
        records: &dyn Records,
        turn: TurnId,
        request: &mut AgentRequest,
    ) -> Result<Enclosed, StoreError> {
        let mark = format!("bobbin{:016x}{:016x}:", self.next_random(), self.next_random());
        let mut enclosed = Enclosed { mark, files: Vec::new() };
        if !self.config.keeps_files {
            return Ok(enclosed);
        }
        let mut room = AGENT_FILES_BYTES_MAX;
        let said = request.messages.iter_mut().map(|message| &mut message.content);
        for content in said.chain(&mut request.answer).rev() {
            let Content::Blocks(blocks) = content else { continue };
            for block in blocks {
                let Some(file) = self.file_shown(records, turn, block)? else { continue };
                let Some(form) = self.form(&file) else { continue };
                if let Some(left) = room.checked_sub(file.size) {
                    room = left;
                    let place = format!("{}{}.", enclosed.mark, enclosed.files.len());
                    enclosed.files.push((file.id.clone(), form));
                    *block = placed(file, form, &place);
                }
            }
        }
        Ok(enclosed)
    }

    /// Returns the file that a block shows, if it belongs to the session, a message names it and the bucket
    /// has it.
    fn file_shown(
        &self,
        records: &dyn Records,
        turn: TurnId,
        block: &Block,
    ) -> Result<Option<File>, StoreError> {
        let Block::File { url, .. } = block else { return Ok(None) };
        let Some((session_id, id)) = file_of(url) else { return Ok(None) };
        let running = self.turns.get(&turn).and_then(Turn::running);
        let is_missing = running.is_some_and(|running| running.missing.iter().any(|missing| missing == id));
        if session_id != self.session_id || is_missing {
            return Ok(None);
        }
        let is_named = |file: &File| file.state == FileState::Here && file.due.is_none();
        Ok(records.file(id)?.filter(is_named))
    }

    /// Returns the form in which a model can be shown a file, if there is one.
    fn form(&self, file: &File) -> Option<Form> {
        let (kind, of_kind) = file.media_type.split_once('/')?;
        let is_text = kind == "text" || TEXTS.iter().any(|text| of_kind.ends_with(text));
        if IMAGES.contains(&file.media_type.as_str()) {
            (file.size <= self.agent.image_bytes_max()).then_some(Form::Data)
        } else if file.media_type == "application/pdf" {
            Some(Form::Data)
        } else {
            (is_text && file.size <= AGENT_TEXT_BYTES_MAX).then_some(Form::Text)
        }
    }
}

/// Returns the block with a placeholder for the file's bytes. Its name and type come from the upload, not
/// from the message.
fn placed(file: File, form: Form, place: &str) -> Block {
    let File { name, media_type, size, .. } = file;
    match form {
        Form::Text => {
            Block::Text { text: format!("\n[file {name}, {media_type}]\n{place}\n[end of file {name}]\n") }
        }
        Form::Data => {
            let url = format!("data:{media_type};base64,{place}");
            Block::File { media_type, url, name: Some(name), size: Some(size) }
        }
    }
}
