//! Content codings: which form of an asset a client gets (RFC 9110, section 12.5.3), and how the forms are made.
//!
//! 1. Forms are made once, in the background and at low priority, and kept beside the assets; never for a request.
//! 2. Until a form is there the next best is served. The asset itself is always good: nobody is told 406.
//! 3. A form that saves too little is not kept, and that is kept in mind.

mod accept;
mod encode;
mod press;

pub(crate) use self::{
    accept::Accepted,
    press::{Content, Press, is_worth_coding},
};
