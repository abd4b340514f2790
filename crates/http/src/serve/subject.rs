//! What is sent for an asset, and where its bytes are.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use favonius_contract::AssetRef;

use super::{
    found::Found,
    pages::{Page, Pages},
};
use crate::{body::Payload, coding::Content, edge::Shared, failure::Failure, memory::Held};

/// What is sent, before it is decided how much of it and in which form.
pub(super) struct Subject {
    /// What forms and validators are known by.
    pub(super) id: AssetRef,
    /// The page that the edge made of the asset, if it did.
    page: Option<Arc<Held>>,
    /// Whether it was found among the pages, and that still has to be counted.
    is_uncounted: bool,
}

/// What is sent.
pub(super) enum Sent {
    /// These bytes of what is in memory.
    Held(Bytes, Arc<Held>),
    /// They come piece by piece.
    Opened(Payload),
    /// They are there, and nobody wants them.
    Unread,
}

impl Sent {
    pub(super) fn into_body(self, part: &Range<u64>) -> Payload {
        match self {
            Self::Held(bytes, _) => {
                // The range was made for this very asset, so both ends are inside of it.
                let at = |end: u64| usize::try_from(end).unwrap_or(usize::MAX).min(bytes.len());
                Payload::from(bytes.slice(at(part.start)..at(part.end)))
            }
            Self::Opened(body) => body,
            Self::Unread => Payload::empty(),
        }
    }
}

impl Subject {
    /// That of an asset, if it can be told at once.
    pub(super) fn at_hand(edge: &Shared, found: &Found<'_>) -> Option<Self> {
        if found.facts.kind().is_html
            && let Some(asked) = Pages::may_have(found)
        {
            let page = edge.pages.kept(&asked)?;
            return Some(Self {
                is_uncounted: true,
                ..Self::new(found, page)
            });
        }
        Some(Self::new(found, None))
    }

    fn new(found: &Found<'_>, page: Option<Page>) -> Self {
        Self {
            id: page.as_ref().map_or(found.asset, |page| page.id),
            page: page.map(|page| page.held),
            is_uncounted: false,
        }
    }

    /// Counts that it was found at once.
    pub(super) fn count_hit(&self, edge: &Shared, found: &Found<'_>) {
        if self.is_uncounted {
            Pages::count_hit(edge, found);
        }
    }

    /// Whether nothing has to be asked before anything is told of it: what a page is made of is looked at as a whole.
    pub(super) fn is_known_to_be_own(&self, found: &Found<'_>) -> bool {
        let page = self.page.as_ref();
        page.is_none_or(|page| found.is_known_to_be_own(page.key))
    }

    /// Whether it is a page that the edge made.
    pub(super) fn is_page(&self) -> bool {
        self.page.is_some()
    }

    pub(super) async fn of(edge: &Shared, found: &Found<'_>) -> Result<Self, Failure> {
        let page = if found.facts.kind().is_html {
            edge.pages.get(edge, found).await?
        } else {
            None
        };
        if let Some(page) = &page {
            found.check(edge, Some(page.held.key)).await?;
        }
        Ok(Self::new(found, page))
    }

    pub(super) fn size(&self) -> u64 {
        self.id.size
    }

    /// Where the bytes are of which forms can be made.
    pub(super) fn content(&self) -> Content {
        match &self.page {
            Some(page) => Content::Bytes(page.bytes.clone()),
            None => Content::Asset,
        }
    }

    /// The bytes as they are, if they are in memory.
    pub(super) fn held(&self, edge: &Shared) -> Option<Arc<Held>> {
        match &self.page {
            Some(page) => Some(Arc::clone(page)),
            None => edge.memory.held(self.id),
        }
    }

    /// The same where the bytes are not used, so that they are not kept longer for it.
    pub(super) fn peek(&self, edge: &Shared) -> Option<Arc<Held>> {
        match &self.page {
            Some(page) => Some(Arc::clone(page)),
            None => edge.memory.peek(self.id),
        }
    }

    /// The bytes as they are, or a part of them.
    pub(super) async fn bytes(
        &self,
        edge: &Shared,
        found: &Found<'_>,
        part: &Range<u64>,
        is_head: bool,
    ) -> Result<Sent, Failure> {
        let memory = &edge.memory;
        if let Some(page) = &self.page {
            let bytes = memory
                .lend(page)
                .unwrap_or_else(|| memory.lend_anyway(page));
            return Ok(Sent::Held(bytes, Arc::clone(page)));
        }
        if is_head {
            if let Some(held) = memory.held(self.id) {
                found.check(edge, Some(held.key)).await?;
                return Ok(Sent::Held(held.bytes.clone(), held));
            }
            found.question.wait().await;
            let at = Box::pin(edge.assets.locate(self.id)).await?;
            found.check(edge, at).await?;
            return Ok(Sent::Unread);
        }
        if self.id.size <= memory.largest() {
            let held = if let Some(held) = memory.hit(self.id, found.question.is_repeated()) {
                Some(held)
            } else {
                found.question.wait().await;
                Box::pin(memory.asset(self.id)).await?
            };
            found
                .check(edge, held.as_ref().map(|held| held.key))
                .await?;
            if let Some(held) = held
                && let Some(bytes) = memory.lend(&held)
            {
                return Ok(Sent::Held(bytes, held));
            }
        }
        found.question.wait().await;
        let opened = Box::pin(memory.open(self.id, part.clone())).await?;
        found
            .check(edge, opened.as_ref().map(|opened| opened.key))
            .await?;
        let opened = opened.ok_or_else(Found::pending)?;
        Ok(Sent::Opened(Payload::stream(
            opened.bytes,
            part.end - part.start,
        )))
    }
}
