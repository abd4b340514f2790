//! The import map by which a page finds its environment variables.
//!
//! A build that reads variables imports the module `env:vars:<application uid>`, which no browser can resolve without
//! an import map. Some bundler plugins write none, so it is added to their pages here.
//!
//! The map goes before the first script or module preload, as it must stand before what it applies to. A tokenizer as
//! the HTML standard has it finds the place, together with as much of the standard's tree construction as decides how
//! bytes are read (foreign content, raw text, templates); text that only looks like a script (in comments, attributes,
//! other scripts) moves nothing. All other bytes stay as they are, whatever their encoding.
//!
//! # Assumptions
//! The encoding of the page is a superset of ASCII. In UTF-16 no tag is found, so such a page stays as it is.
//!
//! A page with a `Content-Security-Policy` that forbids inline scripts also forbids the map; it has to allow it by its
//! hash. A nonce is not copied from other scripts: one that stands in a file is the same for everyone, hence none.

use std::convert::Infallible;

use html5gum::{
    Emitter, ForwardingEmitter, Span, State, Tokenizer,
    emitters::callback::{Callback, CallbackEmitter, CallbackEvent},
};

/// Deepest nesting that is followed; browsers stop at as many elements.
const MAX_DEPTH: usize = 512;

/// Adds the import map for this application's variables to an HTML document.
///
/// It goes before the first script or module preload, else before `</head>`, else before `<body>`. `None` when the
/// document has an import map or no such place: then it is served as it is.
///
/// `manifest_url` is a path or URL of the manifest, as it may stand in a document.
pub(crate) fn insert_import_map(
    html: &[u8],
    application_uid: &str,
    manifest_url: &str,
) -> Option<Vec<u8>> {
    let at = place(html)?;
    let (before, after) = html.split_at_checked(at)?;
    let map = import_map(application_uid, manifest_url);
    Some([before, map.as_bytes(), after].concat())
}

fn import_map(application_uid: &str, manifest_url: &str) -> String {
    let specifier = format!("env:vars:{application_uid}");
    let map = serde_json::json!({ "imports": { specifier: manifest_url } }).to_string();
    // In JSON these stand in strings only, where an escape says the same; in a script they could end it.
    let map = map
        .replace('<', "\\u003c")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029");
    format!(r#"<script type="importmap">{map}</script>"#)
}

/// Where the import map goes: the offset of a `<`.
fn place(html: &[u8]) -> Option<usize> {
    let mut finder = Finder::default();
    let emitter = Following {
        inner: CallbackEmitter::new(&mut finder),
    };
    let Ok(()) = Tokenizer::new_with_emitter(html, emitter).finish();
    if finder.has_import_map {
        return None;
    }
    finder
        .first_script
        .or(finder.head_end)
        .or(finder.body)
        .filter(|&at| html.get(at) == Some(&b'<'))
}

/// Tells the tokenizer what only tree construction knows: how to read on after a tag, and where CDATA is text.
struct Following<'f> {
    inner: CallbackEmitter<&'f mut Finder, Infallible, usize>,
}

impl ForwardingEmitter for Following<'_> {
    type Token = Infallible;

    fn inner(&mut self) -> &mut impl Emitter<Token = Infallible> {
        &mut self.inner
    }

    fn should_emit_errors(&mut self) -> bool {
        false
    }

    fn emit_current_tag(&mut self) -> Option<State> {
        let state = self.inner.emit_current_tag();
        self.inner.callback_mut().next_state.take().or(state)
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&mut self) -> bool {
        self.inner.callback_mut().in_foreign_content()
    }
}

#[derive(Default)]
struct Finder {
    tag: Tag,
    attribute: Option<Attribute>,
    /// The open elements that matter, outermost first.
    open: Vec<Element>,
    /// Where the first of them begins.
    outermost: usize,
    next_state: Option<State>,
    first_script: Option<usize>,
    head_end: Option<usize>,
    body: Option<usize>,
    has_import_map: bool,
}

/// The start tag that is being read.
#[derive(Default)]
struct Tag {
    start: usize,
    name: Vec<u8>,
    kind: Option<Vec<u8>>,
    rel: Option<Vec<u8>>,
    /// Whether it has one of the attributes that only HTML's `font` has.
    styles_font: bool,
}

enum Attribute {
    Type,
    Rel,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Svg,
    Math,
    /// An element of SVG or `MathML` with HTML inside, by its place in [`INTEGRATION_POINTS`].
    HtmlInside(usize),
    Template,
}

/// <https://html.spec.whatwg.org/multipage/parsing.html#html-integration-point>, and the points for text in `MathML`.
const INTEGRATION_POINTS: [(Element, &[u8]); 9] = [
    (Element::Svg, b"foreignobject"),
    (Element::Svg, b"desc"),
    (Element::Svg, b"title"),
    (Element::Math, b"mi"),
    (Element::Math, b"mo"),
    (Element::Math, b"mn"),
    (Element::Math, b"ms"),
    (Element::Math, b"mtext"),
    // Strictly with an `encoding` of HTML only.
    (Element::Math, b"annotation-xml"),
];

impl Callback<Infallible, usize> for &mut Finder {
    fn handle_event(&mut self, event: CallbackEvent<'_>, span: Span<usize>) -> Option<Infallible> {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.attribute = None;
                self.tag = Tag {
                    start: span.start,
                    name: name.to_owned(),
                    ..Tag::default()
                };
            }
            CallbackEvent::AttributeName { name } => self.attribute_name(name),
            CallbackEvent::AttributeValue { value } => self.attribute_value(value),
            CallbackEvent::CloseStartTag { self_closing } => self.start_tag(self_closing),
            CallbackEvent::EndTag { name } => self.end_tag(name, span.start),
            CallbackEvent::String { .. }
            | CallbackEvent::Comment { .. }
            | CallbackEvent::Doctype { .. }
            | CallbackEvent::Error(_) => {}
        }
        None
    }
}

impl Finder {
    /// Of an attribute that occurs twice the first counts, and an empty value is not reported.
    fn attribute_name(&mut self, name: &[u8]) {
        self.attribute = match name {
            b"type" if self.tag.kind.is_none() => {
                self.tag.kind = Some(Vec::new());
                Some(Attribute::Type)
            }
            b"rel" if self.tag.rel.is_none() => {
                self.tag.rel = Some(Vec::new());
                Some(Attribute::Rel)
            }
            b"color" | b"face" | b"size" => {
                self.tag.styles_font = true;
                None
            }
            _ => None,
        };
    }

    fn attribute_value(&mut self, value: &[u8]) {
        match self.attribute.take() {
            Some(Attribute::Type) => self.tag.kind = Some(value.to_owned()),
            Some(Attribute::Rel) => self.tag.rel = Some(value.to_owned()),
            None => {}
        }
    }

    fn start_tag(&mut self, self_closing: bool) {
        let tag = std::mem::take(&mut self.tag);
        let leaves = self.in_foreign_content()
            && (is_html_only(&tag.name) || (tag.name == b"font" && tag.styles_font));
        if leaves {
            self.leave_foreign_content();
        }
        let foreign = self.in_foreign_content();
        match tag.name.as_slice() {
            b"script" => {
                // In a template nothing runs, and no map applies.
                self.has_import_map |=
                    tag.is_import_map() && !self.open.contains(&Element::Template);
                self.script(tag.start);
            }
            b"link" if !foreign && tag.is_module_preload() => self.script(tag.start),
            b"svg" if !self_closing => self.push(Element::Svg, tag.start),
            b"math" if !self_closing => self.push(Element::Math, tag.start),
            b"template" if !foreign => self.push(Element::Template, tag.start),
            b"body" if self.open.is_empty() && !leaves => {
                self.body.get_or_insert(tag.start);
            }
            name if foreign && !self_closing => {
                let inside = self.open.last().copied();
                if let Some(point) = INTEGRATION_POINTS
                    .iter()
                    .position(|(outside, point)| Some(*outside) == inside && *point == name)
                {
                    self.push(Element::HtmlInside(point), tag.start);
                }
            }
            _ => {}
        }
        if !foreign {
            self.next_state = state_after(&tag.name);
        }
    }

    fn end_tag(&mut self, name: &[u8], start: usize) {
        // An end tag has attributes too, which mean nothing.
        self.attribute = None;
        // Other end tags may or may not end SVG that was left open. Where they do, the map goes before that SVG, which
        // is as good a place.
        if matches!(name, b"br" | b"p") {
            self.leave_foreign_content();
        }
        let closes = |element: &Element| match element {
            Element::Svg => name == b"svg",
            Element::Math => name == b"math",
            Element::Template => name == b"template",
            Element::HtmlInside(point) => INTEGRATION_POINTS
                .get(*point)
                .is_some_and(|(_, point)| *point == name),
        };
        if let Some(at) = self.open.iter().rposition(closes) {
            // What a template holds is closed in it.
            let inner = self.open.get(at + 1..).unwrap_or_default();
            if name == b"template" || !inner.contains(&Element::Template) {
                self.open.truncate(at);
            }
        } else if name == b"head" && self.open.is_empty() {
            self.head_end.get_or_insert(start);
        }
    }

    /// Notes a script, or what loads one. The map must be in the HTML of the document itself, so for one in a template,
    /// in SVG or in `MathML` it goes before that.
    fn script(&mut self, start: usize) {
        let place = if self.open.is_empty() {
            start
        } else {
            self.outermost
        };
        self.first_script.get_or_insert(place);
    }

    fn push(&mut self, element: Element, start: usize) {
        if self.open.is_empty() {
            self.outermost = start;
        }
        if self.open.len() < MAX_DEPTH {
            self.open.push(element);
        }
    }

    fn leave_foreign_content(&mut self) {
        while self.in_foreign_content() {
            self.open.pop();
        }
    }

    fn in_foreign_content(&self) -> bool {
        matches!(self.open.last(), Some(Element::Svg | Element::Math))
    }
}

impl Tag {
    fn is_import_map(&self) -> bool {
        self.kind
            .as_deref()
            .is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"importmap"))
    }

    fn is_module_preload(&self) -> bool {
        self.rel.as_deref().is_some_and(|rel| {
            rel.split(u8::is_ascii_whitespace)
                .any(|token| token.eq_ignore_ascii_case(b"modulepreload"))
        })
    }
}

/// Whether a tag of this name cannot be in SVG or `MathML` and ends what of it was left open:
/// <https://html.spec.whatwg.org/multipage/parsing.html#parsing-main-inforeign>.
fn is_html_only(name: &[u8]) -> bool {
    const NAMES: &str = "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li \
                         listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var";
    NAMES.split(' ').any(|listed| listed.as_bytes() == name)
}

/// How the content of an HTML element is read, in a browser that runs scripts.
fn state_after(start_tag: &[u8]) -> Option<State> {
    match start_tag {
        b"script" => Some(State::ScriptData),
        b"textarea" | b"title" => Some(State::RcData),
        b"style" | b"xmp" | b"iframe" | b"noembed" | b"noframes" | b"noscript" => {
            Some(State::RawText)
        }
        b"plaintext" => Some(State::PlainText),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
